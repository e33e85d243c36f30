"""What data promise."""

__all__ = [
    "ImageData",
    "PointData",
    "SupportsChannelData",
    "SupportsFactors",
    "SupportsPairs",
    "SupportsSegmentation",
]

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Batch, Shape


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


@runtime_checkable
class PointData(Protocol):
    """Data whose images are points of a known distribution: a channel per coordinate, one pixel, no bounds.

    They are no pictures: what draws or scores pictures leaves them alone.
    """

    world: Any
    """The distribution, a `lit_gen.functional.worlds.World`."""


@runtime_checkable
class SupportsPairs(Protocol):
    """Data that say whether an ``image`` belongs to the rest of its batch, as a photo does to its label map."""

    @property
    def paired(self) -> bool:
        """Whether it does; it does not where the two sides are drawn independently."""


@runtime_checkable
class SupportsFactors(Protocol):
    """Data that know what their images were made from, whatever of it stands in their batches."""

    @property
    def factor_names(self) -> Sequence[str]:
        """The factors' names, F."""

    def factor_values(self, split: str) -> Tensor:
        """Returns the factors' values of a split's images in their fixed order, int64 [N, F], each from 0 up."""


@runtime_checkable
class SupportsChannelData(Protocol):
    """Data whose every channel is an image of other, labelled data."""

    @property
    def channel_data(self) -> ImageData:
        """The data that channels are images of."""


@runtime_checkable
class SupportsSegmentation(Protocol):
    """Pairs whose images' segmentation is known, perhaps because they are made from it."""

    @property
    def num_segments(self) -> int | None:
        """The number of classes of pixels, or None when the images come without segmentation."""

    def segmentation(self, batch: Batch) -> Tensor:
        """Returns the segmentation of a batch's images, integers [B, H, W]; what is no class is unknown.

        Arguments:
            batch: A batch as the data yield it, images uint8.
        """
