"""scikit-learn's handwritten digits: real images that come with a dependency, so that everything runs offline."""

__all__ = ["Digits"]

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.fingerprint import hash_tensors
from lit_gen.datamodules.image_data import ImageDataModule
from lit_gen.datamodules.resize import RESIZE, image_height_width, resize_uint8
from lit_gen.datamodules.splits import SPLITS, deal, split_size


class Digits(ImageDataModule):
    """Creates the 1,797 digits of 8×8 pixels and 17 grey levels that scikit-learn carries.

    They are the test part of a larger set, so they have no official split; this one is by seed, with every class in
    each part.

    References:
        Alpaydin, Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998.

    Arguments:
        batch_size: Images per batch and process.
        image_size: Pixels per side, or [height, width]; None keeps 8×8.
        val_size: Validation images, a number or a fraction.
        test_size: Test images, a number or a fraction.
        seed: Fixes the splits, the order of the training images and their augmentation.
        horizontal_flip: Whether training images are mirrored at random.
        on_device: Whether training images lie on the training device, as uint8.
    """

    name = "digits"

    def __init__(
        self,
        batch_size: int = 64,
        image_size: int | tuple[int, int] | None = 32,
        val_size: int | float = 200,
        test_size: int | float = 300,
        seed: int = 0,
        horizontal_flip: bool = False,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, horizontal_flip=horizontal_flip, on_device=on_device)
        self.save_hyperparameters(logger=False)
        self.size = (8, 8) if image_size is None else image_height_width(image_size)
        self.val_size, self.test_size = val_size, test_size

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""
        return (1, *self.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ten digits."""
        return tuple("0123456789")

    def check(self) -> None:
        """Looks whether the splits' sizes leave something to train on; the images are part of scikit-learn."""
        self._sizes(1797)

    def _sizes(self, total: int) -> list[int]:
        test = split_size(self.test_size, total, "--data.test_size")
        val = split_size(self.val_size, total, "--data.val_size", taken=test)
        return [test, val]

    def _open(self, split: str) -> dict[str, Tensor]:
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        label = torch.from_numpy(labels).long()
        image = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
        # The test images first: they must not change with the size of the validation split.
        test, val, train = deal(label, self._sizes(len(label)), self.seed)
        index = dict(zip(SPLITS, (train, val, test), strict=True))[split]
        return {"image": resize_uint8(image[index], self.size), "label": label[index]}

    def _hash(self, split: str) -> str:
        tensors = self._source(split)
        assert isinstance(tensors, dict)
        return hash_tensors(tensors, self.name, split, RESIZE)
