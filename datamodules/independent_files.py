"""Image files of two sets that are drawn independently."""

__all__ = ["IndependentFiles"]

from collections.abc import Sequence

from torch import Tensor

from lit_gen.datamodules.image_files import ImageFiles


class IndependentFiles:
    """Creates items that each are one of the images and one of the sources.

    Arguments:
        image: The images.
        source: The sources.
    """

    def __init__(self, image: ImageFiles, source: ImageFiles) -> None:
        self.image, self.source = image, source

    @property
    def sets(self) -> dict[str, int]:
        """How many there are of each."""
        return {"image": len(self.image), "source": len(self.source)}

    def __len__(self) -> int:
        """The number of images."""
        return len(self.image)

    def item(self, index: Sequence[int], epoch: int) -> dict[str, Tensor]:
        """Returns an image and a source by their places."""
        image, source = index
        return self.image.item(image, epoch) | self.source.item(source, epoch)
