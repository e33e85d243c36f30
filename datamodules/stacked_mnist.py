"""Stacked MNIST: three digits in one colour image, 1,000 modes that can be counted."""

__all__ = ["StackedMNIST"]

import hashlib
from typing import Any

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.fingerprint import hash_tensors
from lit_gen.datamodules.image_data import ImageDataModule
from lit_gen.datamodules.mnist import MNIST
from lit_gen.datamodules.splits import SPLITS
from lit_gen.errors import UserError


class _Stacks:
    """Images put together when they are asked for: as tensors by name go, this is one of shape [N, 3, H, W].

    Arguments:
        digit: The digits, uint8 [M, 1, H, W].
        picks: The three digits of each image, int64 [N, 3].
    """

    def __init__(self, digit: Tensor, picks: Tensor) -> None:
        self.digit, self.picks = digit, picks

    def __len__(self) -> int:
        return len(self.picks)

    @property
    def device(self) -> torch.device:
        return self.picks.device

    def to(self, device: torch.device) -> "_Stacks":
        return _Stacks(self.digit.to(device), self.picks.to(device))

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        assert dim == 0
        return self.digit[self.picks[index], 0]


class StackedMNIST(ImageDataModule):
    """Creates images whose red, green and blue are digits a, b, c of MNIST drawn at random, with label 100a + 10b + c.

    The training, validation and test images are made of the digits of MNIST's own splits, in memory only when they are
    asked for.

    References:
        | Unrolled Generative Adversarial Networks (Metz et al., 2017), section 3.3
        | https://arxiv.org/abs/1611.02163

        | PacGAN: The Power of Two Samples in Generative Adversarial Networks (Lin et al., 2018), section 4.2
        | https://arxiv.org/abs/1712.04086

    Arguments:
        root: The folder that MNIST lies in; see `MNIST`.
        download: Whether MNIST may be downloaded if it is absent.
        num_train: The number of training images.
        num_val: The number of validation images.
        num_test: The number of test images.
        batch_size: Images per batch and process.
        image_size: Pixels per side, or [height, width]; None keeps 28×28.
        seed: Fixes MNIST's split, the images and the order of the training images.
        on_device: Whether the digits lie on the training device, as uint8.
    """

    name = "stacked_mnist"

    def __init__(
        self,
        root: str | None = None,
        download: bool = False,
        num_train: int = 128_000,
        num_val: int = 10_000,
        num_test: int = 26_000,
        batch_size: int = 64,
        image_size: int | tuple[int, int] | None = None,
        seed: int = 0,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, on_device=on_device)
        self.save_hyperparameters(logger=False)
        self.digits = MNIST(root=root, download=download, image_size=image_size, seed=seed)
        self.sizes = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))

    @property
    def image_shape(self) -> Shape:
        """3, height and width."""
        return (3, *self.digits.image_shape[1:])

    @property
    def class_names(self) -> tuple[str, ...]:
        """``000`` to ``999``: the digits in red, green and blue."""
        return tuple(f"{number:03d}" for number in range(1000))

    @property
    def channel_data(self) -> MNIST:
        """What each channel is an image of."""
        return self.digits

    def check(self) -> None:
        """Looks whether MNIST is there and the splits' sizes make sense."""
        for split, num in self.sizes.items():
            least = 1 if split == "train" else 0
            if num < least:
                raise UserError(f"--data.num_{split} is {num}; it must be at least {least}")
        self.digits.check()

    def prepare_data(self) -> None:
        """Downloads MNIST if it is absent and `download` is set."""
        self.digits.prepare_data()

    def _open(self, split: str) -> dict[str, Any]:
        digits: Any = self.digits._source(split)
        digest = hashlib.sha256(f"stacks of {split}, seed {self.seed}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        picks = torch.randint(len(digits["image"]), (self.sizes[split], 3), generator=generator)
        label = digits["label"][picks] @ torch.tensor([100, 10, 1])
        return {"image": _Stacks(digits["image"], picks), "label": label}

    def _hash(self, split: str) -> str:
        tensors: Any = self._source(split)
        picks = {"picks": tensors["image"].picks, "label": tensors["label"]}
        return hash_tensors(picks, self.name, split, self.digits.fingerprint(split))
