"""Image files as items that worker processes read."""

__all__ = ["CACHE_BYTES", "ImageFiles"]

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from lit_gen.errors import UserError

CACHE_BYTES = 512 * 2**20
"""Decoded images up to this size together are held in memory unless a setting says otherwise."""

_T = TypeVar("_T")


class ImageFiles:
    """Creates a sequence of items that are decoded from image files when asked for.

    Arguments:
        paths: The files of each item: one, or several that belong together.
        decode: Turns an item's files into tensors by name, such as ``image`` uint8 [C, H, W], or raises a UserError
            that names the file.
        beside: What each item has that is not read from files, such as ``label`` int64 [N], by name.
    """

    def __init__(
        self,
        paths: Sequence[tuple[Path, ...]],
        decode: Callable[..., dict[str, Tensor]],
        beside: Mapping[str, Tensor] | None = None,
    ) -> None:
        # One array, not a list of objects: counting references to those would copy their memory in every worker.
        self._paths = np.array([[os.fsencode(path) for path in item] for item in paths])
        self.decode, self.beside = decode, dict(beside or {})
        assert all(len(tensor) == len(paths) for tensor in self.beside.values())

    def __len__(self) -> int:
        """The number of items."""
        return len(self._paths)

    def paths(self, index: int) -> tuple[Path, ...]:
        """The files of an item."""
        return tuple(Path(os.fsdecode(path)) for path in self._paths[index])

    def item(self, index: int, epoch: int) -> dict[str, Tensor]:
        """Returns one item's tensors by name; the same in every epoch."""
        return self.decode(*self.paths(index)) | {name: tensor[index] for name, tensor in self.beside.items()}

    def each(self, function: Callable[..., _T], indices: Sequence[int]) -> list[_T]:
        """Calls a function on the files of some items, on several threads: decoders release the interpreter's lock."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda index: function(*self.paths(index)), indices))

    def problems(self, indices: Sequence[int]) -> list[UserError | None]:
        """Decodes items, on several threads, and returns what is wrong with each."""

        def problem(*paths: Path) -> UserError | None:
            try:
                self.decode(*paths)
            except UserError as error:
                return error
            return None

        return self.each(problem, indices)

    def tensors(self) -> dict[str, Tensor]:
        """Decodes all items, on several threads: tensors by name, the items along their first dimension.

        Raises:
            UserError: If one of the files cannot be read.
        """
        items = self.each(self.decode, range(len(self)))
        out = {name: torch.stack([item[name] for item in items]) for name in (items[0] if items else {})}
        return out | self.beside

    def hash(self, *settings: object) -> str:
        """Hashes the files' bytes in their order, what stands beside them and the settings they are decoded with."""
        digest = hashlib.sha256(repr(settings).encode())
        for index in range(len(self)):
            for path in self.paths(index):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        for _, tensor in sorted(self.beside.items()):
            digest.update(tensor.numpy().data)
        return digest.hexdigest()[:32]
