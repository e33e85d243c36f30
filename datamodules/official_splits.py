"""Data sets that come with a training and a test part: what MNIST, Fashion-MNIST and CIFAR-10 have in common."""

__all__ = ["OfficialSplits"]

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.fingerprint import hash_tensors
from lit_gen.datamodules.image_data import ImageDataModule, data_root
from lit_gen.datamodules.resize import RESIZE, image_height_width, resize_uint8
from lit_gen.datamodules.splits import deal, split_size
from lit_gen.errors import UserError


class OfficialSplits(ImageDataModule):
    """Creates a data set whose test part is the official one and whose val part is taken from the training part.

    Arguments:
        root: The folder that data sets lie in; None takes the environment's ``LIT_GEN_DATA``, or else ``data``.
        download: Whether torchvision may download the files if they are absent.
        batch_size: Images per batch and process.
        image_size: Pixels per side, or [height, width]; None keeps the original size.
        val_size: Validation images, a number or a fraction of the training part; every class has its share.
        seed: Fixes the split, the order of the training images and their augmentation.
        horizontal_flip: Whether training images are mirrored at random.
        on_device: Whether training images lie on the training device, as uint8.
    """

    native_shape: ClassVar[Shape]
    classes: ClassVar[tuple[str, ...]]
    train_images: ClassVar[int]

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        batch_size: int = 64,
        image_size: int | tuple[int, int] | None = None,
        val_size: int | float = 5000,
        seed: int = 0,
        horizontal_flip: bool = False,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, horizontal_flip=horizontal_flip, on_device=on_device)
        self.save_hyperparameters(logger=False)
        self.root, self.download, self.val_size = data_root(root), download, val_size
        self.size = self.native_shape[1:] if image_size is None else image_height_width(image_size)

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""
        return (self.native_shape[0], *self.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names in the order of their labels."""
        return self.classes

    def check(self) -> None:
        """Looks whether every file is there and has the right form; absent files may be downloaded, if so set."""
        split_size(self.val_size, self.train_images, "--data.val_size")
        missing = self._missing()
        if missing is None:
            self._check_files()
        elif not self.download:
            raise UserError(
                f"{type(self).__name__} is not complete in {self.root}: {missing} is missing; set --data.root (or "
                "LIT_GEN_DATA) to the folder that has it, or --data.download true"
            )

    def prepare_data(self) -> None:
        """Downloads the files if they are absent and `download` is set."""
        if self.download and self._missing() is not None:
            try:
                self._download()
            except (OSError, RuntimeError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(f"{type(self).__name__} could not be downloaded to {self.root}: {reason}") from error

    @abstractmethod
    def _missing(self) -> Path | None:
        """Returns a file that should be there and is not, relative to the root."""

    @abstractmethod
    def _check_files(self) -> None:
        """Looks at the files' form, without reading them."""

    @abstractmethod
    def _download(self) -> None:
        """Downloads the data set to the root."""

    @abstractmethod
    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Reads one part: images uint8 [N, C, H, W] and labels int64 [N]."""

    def _open(self, split: str) -> dict[str, Tensor]:
        missing = self._missing()
        if missing is not None:
            self.check()
            self.prepare_data()
        image, label = self._read(train=split != "test")
        if split == "test":
            index = torch.arange(len(label))
        else:
            val, train = deal(label, [split_size(self.val_size, len(label), "--data.val_size")], self.seed)
            index = val if split == "val" else train
        return {"image": resize_uint8(image[index], self.size), "label": label[index]}

    def _hash(self, split: str) -> str:
        tensors = self._source(split)
        assert isinstance(tensors, dict)
        return hash_tensors(tensors, self.name, split, RESIZE)
