"""An array file of images as samples to score, read image by image: ``.npy``, or one array of an ``.npz``."""

__all__ = ["ARRAY_SUFFIXES", "GivenArray"]

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from lit_gen.contracts import Shape
from lit_gen.errors import UserError, first_line

ARRAY_SUFFIXES = (".npz", ".npy")

_NAMES = ("arr_0", "images", "samples")
"""The array of an ``.npz`` that is meant: guided-diffusion's evaluation batches, ``lit-gen sample``'s, others'."""


class GivenArray:
    """Creates the images of an array uint8 [N, H, W, C], [N, C, H, W] or, if grey, [N, H, W].

    Which of these it is follows from the shape that is wanted. Of the file, compressed or not, one image is in memory.

    Arguments:
        path: The file. Of several arrays in an ``.npz`` the one called ``arr_0``, ``images`` or ``samples`` is taken.

    Raises:
        UserError: If it is damaged, or holds no such array.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as (_, shape, dtype):
            if dtype != np.uint8:
                raise UserError(
                    f"{path} holds {dtype}; images are uint8 from 0 to 255, to which you would round and clamp them "
                    "yourself, as in (127.5 * x + 127.5).round().clip(0, 255).astype('uint8')"
                )
            if len(shape) not in (3, 4) or not shape[0]:
                raise UserError(f"{path} holds an array of shape {shape}; images are [N, H, W, C] or [N, C, H, W]")
        self.shape = shape

    def __len__(self) -> int:
        """The number of images."""
        return self.shape[0]

    def images(self, shape: Shape) -> Iterator[np.ndarray]:
        """Yields the images, uint8 [C, H, W].

        Raises:
            UserError: If they are of another shape, or the file ends early.
        """
        channels, height, width = shape
        layouts = {(height, width, channels): (2, 0, 1), (channels, height, width): (0, 1, 2)}
        own = (*self.shape[1:], 1) if len(self.shape) == 3 else self.shape[1:]
        if own not in layouts:
            raise UserError(
                f"{self.path} holds images of shape {own}, the data's are {height}×{width} of {channels} channels: "
                f"give uint8 [N, {height}, {width}, {channels}] or [N, {channels}, {height}, {width}]"
            )
        size = channels * height * width
        with self._opened() as (file, _, _):
            for i in range(len(self)):
                content = file.read(size)
                if len(content) != size:
                    raise UserError(f"{self.path} ends after {i} of {len(self)} images")
                image = np.frombuffer(content, np.uint8).reshape(own).transpose(layouts[own])
                yield np.ascontiguousarray(image)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
        """Yields the file where the array's values begin, the array's shape and type."""
        try:
            with contextlib.ExitStack() as stack:
                if self.path.suffix.lower() == ".npz":
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    file: IO[bytes] = stack.enter_context(archive.open(self._member(archive)))
                else:
                    file = stack.enter_context(self.path.open("rb"))
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, by_columns, dtype = read(file)
                if by_columns and len(shape) > 1:
                    raise UserError(f"{self.path} is in Fortran's order; save numpy.ascontiguousarray of it")
                yield file, shape, dtype
        except UserError:
            raise
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise UserError(f"{self.path} is no whole array file ({first_line(error)})") from error

    def _member(self, archive: zipfile.ZipFile) -> str:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        chosen = next((name for name in _NAMES if name in names), names[0] if len(names) == 1 else None)
        if chosen is None:
            listed = ", ".join(names) or "none"
            raise UserError(f"{self.path} has no array called {', '.join(_NAMES)}; its arrays are: {listed}")
        return f"{chosen}.npy"
