"""What models and data promise to callbacks and commands, and networks to models, as typing protocols.

Callbacks and commands ask what an object can do (``isinstance(model, SupportsSample)``), never what class it is, so a
user's own LightningModule gets sample grids, scores and the command line by having the right methods.
"""

__all__ = [
    "Batch",
    "DiscriminatorFactory",
    "GeneratorFactory",
    "Generators",
    "ImageData",
    "PointData",
    "Shape",
    "SupportsChannelData",
    "SupportsDiscriminator",
    "SupportsEncoding",
    "SupportsLatents",
    "SupportsLogProb",
    "SupportsSample",
    "SupportsStyles",
    "SupportsTranslate",
    "SupportsTranslateBack",
    "SupportsTruncation",
    "TranslatorFactory",
]

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

Batch: TypeAlias = Mapping[str, Tensor]
Shape: TypeAlias = tuple[int, int, int]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator]


class GeneratorFactory(Protocol):
    """Makes a generator, ``(z [B, latent_dim], label [B] or None) → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, image_shape: Shape, latent_dim: int, num_classes: int | None) -> nn.Module: ...


class DiscriminatorFactory(Protocol):
    """Makes a discriminator, ``(images [B, C, H, W], label [B] or None) → logits [B]``.

    One that is told ``num_outputs``, above 1, gives [B, num_outputs], the logit first; only an `Auxiliary` asks for it.
    """

    def __call__(self, *, image_shape: Shape, num_classes: int | None) -> nn.Module: ...


class TranslatorFactory(Protocol):
    """Makes a generator of images from images, ``source [B, Cs, H, W] → images in [−1, 1], [B, C, H, W]``."""

    def __call__(self, *, source_shape: Shape, image_shape: Shape) -> nn.Module: ...


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
class SupportsLatents(Protocol):
    """A model whose images come from latents that can be chosen."""

    def latents(self, num: int, generator: Generators | None = None) -> Tensor:
        """Draws latents, shape [num, D]."""

    def generate(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps latents [N, D], and labels [N] if the model is conditional, to images in [−1, 1], shape [N, C, H, W]."""


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


@runtime_checkable
class SupportsTranslate(Protocol):
    """A model that turns the images of a batch into other images."""

    def translate(self, batch: Batch) -> Tensor:
        """Returns images in [−1, 1], shape [B, C, H, W]."""


@runtime_checkable
class SupportsTranslateBack(Protocol):
    """A model that also turns images of the target domain into sources."""

    def translate_back(self, batch: Batch) -> Tensor:
        """Returns sources in [−1, 1], shape [B, Cs, H, W]."""


@runtime_checkable
class SupportsEncoding(Protocol):
    """A translation network whose encoder can be asked for its maps."""

    encoded_channels: Sequence[int]
    """The channels C_l of each map."""

    def encode(self, source: Tensor) -> list[Tensor]:
        """Maps sources [B, Cs, H, W] to maps [B, C_l, H_l, W_l]."""


@runtime_checkable
class SupportsLogProb(Protocol):
    """A model with a likelihood, exact or bounded."""

    def log_prob(self, image: Tensor) -> Tensor:
        """Returns log p of images [B, C, H, W] in nats per image, shape [B]."""


@runtime_checkable
class SupportsDiscriminator(Protocol):
    """A model with a network that tells real images from generated ones: images, labels or None → logits [B]."""

    discriminator: Any


@runtime_checkable
class PointData(Protocol):
    """Data whose images are points of a known distribution: a channel per coordinate, one pixel, no bounds.

    They are no pictures: what draws or scores pictures leaves them alone.
    """

    world: Any
    """The distribution, a `lit_gen.functional.worlds.World`."""


@runtime_checkable
class SupportsChannelData(Protocol):
    """Data whose every channel is an image of other, labelled data."""

    @property
    def channel_data(self) -> "ImageData":
        """The data that channels are images of."""


class ImageData(Protocol):
    """A source of images with fixed splits; every datamodule of lit_gen is one."""

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""

    @property
    def num_classes(self) -> int | None:
        """The number of classes, or None when the images carry no labels."""

    @property
    def class_names(self) -> Sequence[str] | None:
        """The classes' names in the order of their labels, or None when the images carry no labels."""

    @property
    def name(self) -> str:
        """A short name for protocols and cache keys, such as ``"fashion_mnist"``."""

    def fingerprint(self, split: str) -> str:
        """A hash of the split's content: pixels, labels and every setting that changes them."""

    def num_images(self, split: str) -> int:
        """The number of images in a split (``"train"``, ``"val"`` or ``"test"``)."""

    def batches(self, split: str, batch_size: int) -> Iterable[Batch]:
        """Iterates once over a whole split in its fixed order, neither shuffled, augmented, sharded nor padded.

        Yields:
            ``image`` uint8 [B, C, H, W], ``index`` int64 [B] and, when there are labels, ``label`` int64 [B].
        """
