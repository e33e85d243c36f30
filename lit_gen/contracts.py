"""What models and data promise to callbacks and commands, as typing protocols.

Callbacks and commands ask what an object can do (``isinstance(model, SupportsSample)``), never what class it is, so a
user's own LightningModule gets sample grids, scores and the command line by having the right methods.
"""

__all__ = [
    "Batch",
    "Generators",
    "ImageData",
    "PointData",
    "Shape",
    "SupportsAttributes",
    "SupportsChannelData",
    "SupportsCodes",
    "SupportsDiscriminator",
    "SupportsEncode",
    "SupportsEncoderMaps",
    "SupportsFeatureMaps",
    "SupportsLatents",
    "SupportsLogProb",
    "SupportsPairs",
    "SupportsReconstruct",
    "SupportsRecognition",
    "SupportsSample",
    "SupportsStyleEncoder",
    "SupportsStyles",
    "SupportsTranslate",
    "SupportsTranslateBack",
    "SupportsTruncation",
]

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Batch: TypeAlias = Mapping[str, Tensor]
"""Tensors by name, a row per image. ``image`` is what a model is to make, ``source``, ``label_map``, ``label`` or
``attributes`` what it may make it from; ``wanted`` attributes and ``style`` images say what it is to become."""
Shape: TypeAlias = tuple[int, int, int]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator]


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
class SupportsEncode(Protocol):
    """A model that finds images' latents: of them `SupportsLatents.generate` makes what is most like the images."""

    def encode(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images in [−1, 1], [B, C, H, W], to latents [B, D], without noise: where they are drawn, to their mean.

        Arguments:
            image: The images.
            label: Their class labels, shape [B], for conditional models: those whose `num_classes` is not None.
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
    """A model that turns the images of a batch into other images.

    Where the data are pairs (`SupportsPairs`), a batch's ``image`` is what should come out of the rest of it: LPIPS,
    PSNR, SSIM and L1 compare it with what did, and `translate` is called without it.
    """

    def translate(self, batch: Batch, generator: Generators | None = None) -> Tensor:
        """Returns images in [−1, 1], shape [B, C, H, W].

        Arguments:
            batch: Tensors by name, images in [−1, 1].
            generator: The source of randomness, if there is any; see `SupportsSample.sample`.
        """


@runtime_checkable
class SupportsAttributes(Protocol):
    """A model whose `translate` gives a batch's ``image`` other attributes: those in ``wanted``, float32 [B, A].

    Without ``wanted`` each gets those of another of the batch, whose own are its ``attributes``.
    """

    attribute_names: Sequence[str]
    attribute_groups: Sequence[Sequence[int]]
    """Places in the names: one for what is there or not, several where exactly one of them is there."""
    changeable: Sequence[int]
    """The places of the attributes that it can change."""


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
class SupportsPairs(Protocol):
    """Data that say whether an ``image`` belongs to the rest of its batch, as a photo does to its label map."""

    @property
    def paired(self) -> bool:
        """Whether it does; it does not where the two sides are drawn independently."""


@runtime_checkable
class SupportsTranslateBack(Protocol):
    """A model that also turns images of the target domain into sources."""

    def translate_back(self, batch: Batch) -> Tensor:
        """Returns sources in [−1, 1], shape [B, Cs, H, W]."""


@runtime_checkable
class SupportsRecognition(Protocol):
    """A model that gives images the attributes ``wanted``, and knows those that they have: some can be kept."""

    image_shape: Shape

    def recognise(self, image: Tensor) -> Tensor:
        """Returns the attributes, in {0, 1}, of images in [−1, 1], shape [B, C, H, W] → [B, A]."""


@runtime_checkable
class SupportsStyleEncoder(Protocol):
    """A model whose translation may be like another image, a batch's ``style``.

    That is an image in [−1, 1], shape [B, C, H, W], of the size that the model was trained at; without it the style is
    drawn.
    """

    encoder: Any
    """The network that sees it, or None where the model was made without."""


@runtime_checkable
class SupportsEncoderMaps(Protocol):
    """A translation network whose encoder can be asked for its maps."""

    encoded_channels: Sequence[int]
    """The channels C_l of each map."""

    def encode(self, source: Tensor) -> list[Tensor]:
        """Maps sources [B, Cs, H, W] to maps [B, C_l, H_l, W_l]."""


@runtime_checkable
class SupportsFeatureMaps(Protocol):
    """A discriminator that shows what it makes of images, layer by layer, at one scale or more."""

    def scales(self, image: Tensor) -> list[list[Tensor]]:
        """Maps images [B, C, H, W] to each scale's maps [B, C_l, H_l, W_l], its logits [B, 1, h, w] last."""


@runtime_checkable
class SupportsLogProb(Protocol):
    r"""A model with a likelihood, exact or bounded from below.

    `log_prob` is a log-*probability*, never a density: of the 8-bit image that the data hold, one of 256^D, with
    everything between that image and the model's density included. A density q of y = (x + u) / 128 − 1, say, with
    8-bit values x and noise u uniform in [0, 1)^D, gives the bound

    .. math:: \log P(x) \ge \mathbb{E}_u[\log q(y)] - D \log 128

    whose last term is the Jacobian of the scaling; further preprocessing (logits, say) adds its own. So −`log_prob` /
    (D ln 2) is bits per dimension for every family, never below 0, and 8 for a model that knows nothing.

    A model whose `log_prob` is of something else, or a bound that has a setting, says so in an attribute
    ``log_prob_of``, a few words that stand in the protocol: ``"binarised images, IWAE bound of 5000 samples"``. Without
    it they are ``"8-bit images"``.
    """

    def log_prob(self, image: Tensor, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Returns log P, or a bound that may be random, in nats per image, shape [B].

        Arguments:
            image: Images in [−1, 1] as the data module gives them, x / 127.5 − 1 for 8-bit values x; [B, C, H, W].
            label: Their class labels, shape [B], for conditional models: those whose `num_classes` is not None.
            generator: The source of randomness, if there is any; see `SupportsSample.sample`.
        """


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
