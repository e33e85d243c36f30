"""What models promise that draw images: from nothing, from latents, from images' own latents."""

__all__ = [
    "SupportsClassifierGuidance",
    "SupportsCodes",
    "SupportsEncode",
    "SupportsGenerate",
    "SupportsLatentMaps",
    "SupportsLatents",
    "SupportsReconstruct",
    "SupportsRows",
    "SupportsSample",
    "SupportsStyles",
    "SupportsTrajectory",
    "SupportsTruncation",
]

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Generators, Shape


@runtime_checkable
class SupportsSample(Protocol):
    """A model that draws images from nothing but noise (and labels, if it is conditional)."""

    image_shape: Shape

    def sample(self, num: int, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Draws images.

        Arguments:
            num: The number of images N.
            label: Class labels, shape [N], for conditional models.
            generator: The source of randomness: one generator for all, or one per image. With one per image, an image
                depends on its own generator only, not on its place in the batch.

        Returns:
            Images in [−1, 1], shape [N, C, H, W].
        """


@runtime_checkable
class SupportsClassifierGuidance(Protocol):
    """A model whose samples can follow labels that it need not know, by the gradient of a classifier."""

    image_shape: Shape

    def sample_by_classifier(
        self,
        label: Tensor,
        classify: Callable[[Tensor], Tensor],
        scale: float,
        generator: Generators | None = None,
    ) -> Tensor:
        """Draws images in [−1, 1], shape [N, C, H, W].

        Arguments:
            label: Class labels, shape [N].
            classify: Maps images in about [−1, 1], [N, C, H, W], to logits [N, K]; gradients pass.
            scale: The weight of the classifier's gradient, 0 or more.
            generator: The source of randomness; see `SupportsSample.sample`.
        """


@runtime_checkable
class SupportsRows(Protocol):
    """A model whose images can be watched while they are drawn, as one does that takes long."""

    image_shape: Shape

    def sample_rows(
        self, num: int, label: Tensor | None = None, generator: Generators | None = None
    ) -> Iterator[Tensor]:
        """Yields images in [−1, 1], [N, C, H, W], H times, a row's worth of pixels further each time.

        The last are those of `SupportsSample.sample` with the same arguments. What is not drawn yet is −1; the tensor
        that is yielded may be filled further when the next is asked for.
        """


@runtime_checkable
class SupportsGenerate(Protocol):
    """A model whose images come from latents that can be chosen."""

    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [N, D], and labels [N] if the model is conditional, to images in [−1, 1], shape [N, C, H, W]."""


@runtime_checkable
class SupportsLatents(SupportsGenerate, Protocol):
    """A model whose images come from latents that can be chosen, or drawn."""

    def latents(self, num: int, generator: Generators | None = None) -> Tensor:
        """Draws latents, shape [num, D]."""


@runtime_checkable
class SupportsEncode(Protocol):
    """A model that finds images' latents: of them `SupportsGenerate.generate` makes what is most like the images."""

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to latents [B, D], without noise: where they are drawn, to their mean.

        Gradients pass, so that a classifier can be trained on top of it, and it with the classifier.

        Arguments:
            image: The images.
            label: Their class labels, shape [B], for conditional models: those whose `num_classes` is not None.
        """


@runtime_checkable
class SupportsReconstruct(Protocol):
    """A model that takes images in, such as through a bottleneck, and gives them back as well as it can."""

    def reconstruct(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns images in [−1, 1], of the shape of the images [B, C, H, W] in [−1, 1] that they should be.

        Arguments:
            image: The images.
            label: Their class labels, shape [B], for conditional models: those whose `num_classes` is not None.
            generator: The source of randomness, if there is any; see `SupportsSample.sample`.
        """


@runtime_checkable
class SupportsCodes(Protocol):
    """A model that turns images into maps of discrete codes and back: what a prior over codes is trained on.

    ``decode_codes(encode_codes(image))`` is ``reconstruct(image)``.
    """

    image_shape: Shape

    @property
    def num_codes(self) -> int:
        """How many codes K there are."""

    @property
    def code_shape(self) -> tuple[int, int]:
        """The height and width (h, w) of an image's codes."""

    def encode_codes(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to codes in [0, K), int64 [B, h, w], without noise."""

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Maps codes, int64 [B, h, w], to images in [−1, 1], [B, C, H, W]."""


@runtime_checkable
class SupportsLatentMaps(Protocol):
    """A model that turns images into maps of numbers and back: what a diffusion model of latents is trained on.

    ``decode_map(encode_map(image))`` is ``reconstruct(image)``.
    """

    image_shape: Shape

    @property
    def latent_shape(self) -> Shape:
        """The channels, height and width (D, h, w) of an image's map."""

    def encode_map(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to maps [B, D, h, w], without noise and before any rounding."""

    def decode_map(self, z: Tensor) -> Tensor:
        """Maps maps [B, D, h, w], rounded here if codes are wanted, to images in [−1, 1], [B, C, H, W]."""


@runtime_checkable
class SupportsTrajectory(Protocol):
    """A model that can be watched while it turns latents into data, whose numbers are as many."""

    def trajectory(self, z: Tensor, label: Tensor | None = None) -> Sequence[Tensor]:
        """Returns what latents [N, D] become step by step, [N, D] each: themselves first, data last."""


@runtime_checkable
class SupportsTruncation(Protocol):
    """A generator with a mapping network, whose styles can be drawn towards their mean."""

    def truncated(self, z: Tensor, label: Tensor | None, truncation: float) -> Tensor:
        """Maps latents [N, D] to images [N, C, H, W] from styles at `truncation` of the way from the mean style."""


@runtime_checkable
class SupportsStyles(Protocol):
    """A generator with a mapping network, whose layers take styles in place of latents."""

    def styles(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [N, D] to styles [N, S]."""

    def synthesize(self, styles: Tensor) -> Tensor:
        """Maps styles [N, S], the same for every layer, to images in [−1, 1], shape [N, C, H, W]."""
