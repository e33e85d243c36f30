"""The idx format of MNIST and its relatives, raw or gzipped."""

__all__ = ["check_idx", "find_idx", "read_idx"]

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from lit_gen.errors import UserError


def find_idx(folder: Path, name: str) -> Path | None:
    """Returns the file `name` of a folder, or its gzipped form, or None when there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def check_idx(path: Path, dimensions: int) -> None:
    """Looks at a file's header and, if it is not gzipped, at its length.

    Raises:
        UserError: If it is not an idx file of uint8 with so many dimensions, or has another length than it says.
    """
    try:
        with _open(path) as file:
            shape = _shape(path, file.read(4 + 4 * dimensions), dimensions)
        if path.suffix != ".gz":
            _compare(path, path.stat().st_size - 4 - 4 * dimensions, shape)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Reads a file of uint8 numbers, any shape of so many dimensions.

    Raises:
        UserError: If the file is damaged or is something else.
    """
    try:
        with _open(path) as file:
            data = bytearray(file.read())
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    shape = _shape(path, bytes(data[: 4 + 4 * dimensions]), dimensions)
    _compare(path, len(data) - 4 - 4 * dimensions, shape)
    return torch.frombuffer(data, dtype=torch.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _open(path: Path) -> gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    # Two zero bytes, the type (8: uint8), the number of dimensions, then each length, big-endian.
    if header[:4] != bytes([0, 0, 8, dimensions]) or len(header) < 4 + 4 * dimensions:
        raise UserError(
            f"{path}: not an idx file of uint8 with {dimensions} dimensions; delete it and download it anew"
        )
    return struct.unpack(f">{dimensions}I", header[4:])


def _compare(path: Path, found: int, shape: tuple[int, ...]) -> None:
    if found != math.prod(shape) or found == 0:
        raise UserError(
            f"{path}: holds {found} bytes of data where its header says {' × '.join(map(str, shape))}; "
            "delete it and download it anew"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read ({error}); delete it and download it anew")
