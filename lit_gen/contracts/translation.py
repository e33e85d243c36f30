"""What models promise that turn images into other images, and how they are told into which."""

__all__ = [
    "SupportsAttributes",
    "SupportsRecognition",
    "SupportsStyleEncoder",
    "SupportsTranslate",
    "SupportsTranslateBack",
]

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Batch, Generators, Shape


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
class SupportsTranslateBack(Protocol):
    """A model that also turns images of the target domain into sources."""

    def translate_back(self, batch: Batch) -> Tensor:
        """Returns sources in [−1, 1], shape [B, Cs, H, W]."""


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
