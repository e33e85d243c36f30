"""Image files as items that worker processes read."""

__all__ = ["ImageFiles"]

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lit_gen.errors import UserError


class ImageFiles:
    """Creates a sequence of image files that are decoded when asked for.

    Arguments:
        paths: The files.
        labels: Each file's class, or None.
        decode: Turns a file into uint8 [C, H, W], or raises a UserError that names it.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int] | None, decode: Callable[[Path], Tensor]) -> None:
        # One array, not a list of objects: counting references to those would copy their memory in every worker.
        self._paths = np.array([os.fsencode(path) for path in paths])
        self.labels = None if labels is None else torch.tensor(labels, dtype=torch.int64)
        self.decode = decode

    def __len__(self) -> int:
        """The number of files."""
        return len(self._paths)

    def path(self, index: int) -> Path:
        """The file of an image."""
        return Path(os.fsdecode(self._paths[index]))

    def item(self, index: int, epoch: int) -> dict[str, Tensor]:
        """Returns one image and, if there are classes, its label; the same in every epoch."""
        item = {"image": self.decode(self.path(index))}
        if self.labels is not None:
            item["label"] = self.labels[index]
        return item

    def problems(self, indices: Sequence[int]) -> list[UserError | None]:
        """Decodes files, on several threads, and returns what is wrong with each."""

        def problem(index: int) -> UserError | None:
            try:
                self.decode(self.path(index))
            except UserError as error:
                return error
            return None

        with _threads() as pool:
            return list(pool.map(problem, indices))

    def tensors(self) -> dict[str, Tensor]:
        """Decodes all files, on several threads: ``image`` uint8 [N, C, H, W] and, with classes, ``label`` [N].

        Raises:
            UserError: If one of them cannot be read.
        """
        with _threads() as pool:
            images = list(pool.map(self.decode, map(self.path, range(len(self)))))
        out = {"image": torch.stack(images)}
        if self.labels is not None:
            out["label"] = self.labels
        return out

    def hash(self, *settings: object) -> str:
        """Hashes the files' bytes in their order, their labels and the settings they are decoded with."""
        digest = hashlib.sha256(repr(settings).encode())
        for index in range(len(self)):
            digest.update(hashlib.sha256(self.path(index).read_bytes()).digest())
        if self.labels is not None:
            digest.update(self.labels.numpy().data)
        return digest.hexdigest()[:32]


def _threads() -> ThreadPoolExecutor:
    # Decoders release the interpreter's lock.
    return ThreadPoolExecutor(min(8, os.cpu_count() or 1))
