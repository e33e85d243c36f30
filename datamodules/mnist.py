"""MNIST and Fashion-MNIST, from the idx files that their authors distribute."""

__all__ = ["MNIST", "FashionMNIST"]

from abc import abstractmethod
from pathlib import Path

from torch import Tensor

from lit_gen.datamodules.idx import check_idx, find_idx, read_idx
from lit_gen.datamodules.official_splits import OfficialSplits
from lit_gen.errors import UserError

_NAMES = {True: "train", False: "t10k"}


class _IdxImages(OfficialSplits):
    """Creates a data set of 28×28 grey images whose four idx files lie in ``<root>/<folder>/raw``, raw or gzipped."""

    native_shape = (1, 28, 28)
    train_images = 60_000

    @property
    @abstractmethod
    def folder(self) -> str:
        """The name of the data set's folder, which torchvision shares."""

    def _files(self, train: bool) -> tuple[Path, Path]:
        folder = Path(self.folder, "raw")
        return folder / f"{_NAMES[train]}-images-idx3-ubyte", folder / f"{_NAMES[train]}-labels-idx1-ubyte"

    def _missing(self) -> Path | None:
        files = [*self._files(True), *self._files(False)]
        return next((file for file in files if find_idx(self.root / file.parent, file.name) is None), None)

    def _paths(self, train: bool) -> tuple[Path, Path]:
        images, labels = (find_idx(self.root / file.parent, file.name) for file in self._files(train))
        assert images is not None and labels is not None
        return images, labels

    def _check_files(self) -> None:
        for train in (True, False):
            images, labels = self._paths(train)
            check_idx(images, 3)
            check_idx(labels, 1)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        images, labels = self._paths(train)
        image, label = read_idx(images, 3), read_idx(labels, 1)
        if len(image) != len(label) or image.shape[1:] != self.native_shape[1:] or label.max() >= len(self.classes):
            raise UserError(
                f"{images}: {tuple(image.shape)} images do not go with {len(label)} labels up to {int(label.max())} "
                f"in {labels.name}; delete both and download them anew"
            )
        return image.unsqueeze(1), label.long()


class MNIST(_IdxImages):
    """Creates MNIST: 60,000 + 10,000 handwritten digits.

    References:
        LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition. 1998.

    Arguments:
        root, download, batch_size, image_size, val_size, seed, horizontal_flip, on_device: See `OfficialSplits`.
    """

    name = "mnist"
    folder = "MNIST"
    classes = tuple("0123456789")

    def _download(self) -> None:
        from torchvision.datasets import MNIST

        MNIST(self.root, download=True)


class FashionMNIST(_IdxImages):
    """Creates Fashion-MNIST: 60,000 + 10,000 articles of clothing.

    References:
        Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms.
        2017. arXiv:1708.07747.

    Arguments:
        root, download, batch_size, image_size, val_size, seed, horizontal_flip, on_device: See `OfficialSplits`.
    """

    name = "fashion_mnist"
    folder = "FashionMNIST"
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip

    def _download(self) -> None:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(self.root, download=True)
