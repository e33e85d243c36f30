"""The file that sprites lie in: images, their factors and their segmentation."""

__all__ = ["SpriteArrays"]

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_gen.datamodules.table import Table
from lit_gen.errors import UserError, nearest

_NEEDED = {"images": "uint8 [N, H, W, 3]", "factors": "integers [N, F]", "segmentation": "uint8 [N, H, W]"}


class SpriteArrays:
    """Creates the reader of an npz file with the arrays ``images``, ``factors`` and ``segmentation``.

    It may also hold names: ``factor_names``, ``segmentation_names``, and for a factor ``action`` its values' names in
    ``actions``.

    Arguments:
        path: The file.

    Every method raises a UserError, which names the file, if the file is absent or has another form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def image(self, index: Tensor) -> Tensor:
        """Some of the images, uint8 [N, 3, H, W]."""
        return torch.from_numpy(self._array("images")[index.numpy()]).permute(0, 3, 1, 2).contiguous()

    def segmentation(self, index: Tensor) -> Tensor:
        """Some of the segmentations, uint8 [N, H, W]."""
        return torch.from_numpy(self._array("segmentation")[index.numpy()])

    @cached_property
    def size(self) -> tuple[int, int]:
        """The images' height and width."""
        height, width = self._array("images").shape[1:3]
        return int(height), int(width)

    @cached_property
    def num_parts(self) -> int:
        """The number of classes in segmentations."""
        names = self._names("segmentation_names")
        return int(self._array("segmentation").max()) + 1 if names is None else len(names)

    @cached_property
    def table(self) -> Table:
        """The factors' values by name; the images are named by their places."""
        factors = self._array("factors")
        names = self._names("factor_names") or [f"factor{number}" for number in range(factors.shape[1])]
        if len(names) != factors.shape[1]:
            raise UserError(f"{self.path}: has {len(names)} factor_names for {factors.shape[1]} factors")
        columns = []
        for name, column in zip(names, factors.T.tolist(), strict=True):
            values = self._names(f"{name}s") or [str(value) for value in range(max(column) + 1)]
            if not 0 <= min(column) <= max(column) < len(values):
                raise UserError(f"{self.path}: {name} has values that {name}s does not name")
            columns.append([values[value] for value in column])
        return Table(self.path, tuple(names), {str(i): row for i, row in enumerate(zip(*columns, strict=True))})

    def check(self) -> None:
        """Looks whether the arrays are there and fit each other."""
        images, factors, segmentation = (self._array(name) for name in _NEEDED)
        forms = {
            "images": images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] == 3,
            "factors": factors.dtype.kind in "iu" and factors.ndim == 2,
            "segmentation": segmentation.dtype == np.uint8 and segmentation.shape == images.shape[:3],
        }
        for name, right in forms.items():
            if not right:
                array = {"images": images, "factors": factors, "segmentation": segmentation}[name]
                raise UserError(f"{self.path}: {name} is {array.dtype} {list(array.shape)}; it must be {_NEEDED[name]}")
        if not len(images) == len(factors) > 0:
            raise UserError(f"{self.path}: has {len(images)} images and the factors of {len(factors)}")
        if segmentation.max() >= self.num_parts:
            wrong = np.flatnonzero((segmentation >= self.num_parts).any(axis=(1, 2)))
            listed = ", ".join(map(str, wrong[:10].tolist())) + (", …" if len(wrong) > 10 else "")
            raise UserError(
                f"{self.path}: the segmentations {listed} ({len(wrong)} in all) have indices up to "
                f"{segmentation.max()}, but there are {self.num_parts} segmentation_names"
            )
        _ = self.table

    def _names(self, key: str) -> list[str] | None:
        with self._opened() as file:
            return [str(name) for name in file[key].tolist()] if key in file.files else None

    def _array(self, key: str) -> NDArray[Any]:
        try:
            with self._opened() as file:
                if key not in file.files:
                    raise UserError(f"{self.path}: has no array {key}, only {', '.join(file.files)}")
                return file[key]
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise error if isinstance(error, UserError) else self._unreadable(error) from error

    def _opened(self) -> Any:
        if not self.path.is_file():
            siblings = [path.name for path in self.path.parent.iterdir()] if self.path.parent.is_dir() else []
            raise UserError(f"there is no file {self.path}{nearest(self.path.name, siblings)}; set --data.path")
        try:
            file = np.load(self.path, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise self._unreadable(error) from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise UserError(f"{self.path}: is a single array; it must be an npz file with {', '.join(_NEEDED)}")
        return file

    def _unreadable(self, error: Exception) -> UserError:
        return UserError(f"{self.path}: cannot be read as an npz file ({str(error) or type(error).__name__})")
