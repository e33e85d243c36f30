"""Images that are there already: a folder of image files, or an array file, read a batch at a time."""

__all__ = ["ARRAY_SUFFIXES", "GivenImages", "open_given"]

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lit_gen.commands.given_array import ARRAY_SUFFIXES, GivenArray
from lit_gen.commands.given_folder import GivenFolder
from lit_gen.contracts import Shape
from lit_gen.errors import UserError, nearest


class _Source(Protocol):
    """Where images come from."""

    def __len__(self) -> int:
        """The number of images."""

    def images(self, shape: Shape) -> Iterator[np.ndarray]:
        """Yields the images in their order, uint8 [C, H, W] of the shape asked for, or raises a `UserError`."""


class GivenImages:
    """Creates the batches of given images, and the hash of those that were taken.

    The hash is the SHA-256 of the pixels, uint8 [N, C, H, W] in their order: the same images have the same hash whether
    they lie in a folder or in an array.

    Arguments:
        path: The folder or file, for messages.
        source: The images.
    """

    def __init__(self, path: Path, source: _Source) -> None:
        self.path = path
        self._source = source
        self._hash = hashlib.sha256()

    def __len__(self) -> int:
        """The number of images."""
        return len(self._source)

    @property
    def sha256(self) -> str:
        """The hash of the images that `batches` has yielded."""
        return self._hash.hexdigest()

    def check(self, shape: Shape) -> None:
        """Reads the first image: what is wrong with all of them is said before anything is computed.

        Raises:
            UserError: If it does not fit.
        """
        next(self._source.images(shape))

    def batches(self, shape: Shape, num: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields places int64 [n] and images uint8 [n, C, H, W], never holding more than a batch.

        Arguments:
            shape: The shape that images must have: channels, height and width.
            num: How many are taken, the first ones.
            batch_size: The most images at once.

        Raises:
            UserError: If an image cannot be read or is of another shape; it names the file.
        """
        self._hash = hashlib.sha256()
        images = self._source.images(shape)
        for start in range(0, num, batch_size):
            count = min(batch_size, num - start)
            batch = np.stack([next(images) for _ in range(count)])
            self._hash.update(batch.tobytes())
            yield torch.arange(start, start + count), torch.from_numpy(batch)


def open_given(name: str) -> GivenImages:
    """Opens a folder of images, ``.npz`` or ``.npy``.

    Raises:
        UserError: If there is none, or it holds no images.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return GivenImages(path, GivenFolder(path))
    if not path.is_file():
        beside = [str(file) for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(
            f"there is no '{name}'{nearest(str(path), beside) or '; give a folder of images, .npz or .npy'}"
        )
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise UserError(f"--samples is {name}: it must be a folder of images, or an array file (.npz or .npy)")
    return GivenImages(path, GivenArray(path))
