"""From a file with an index per pixel to a map of labels or of instances."""

__all__ = ["decode_indices", "decode_labels", "wrong_labels"]

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lit_gen.datamodules.decode import Resize, fit, opened
from lit_gen.errors import UserError

UNKNOWN = 255
"""The label of pixels whose class is not known."""


def decode_labels(
    path: Path, size: tuple[int, int] | None, resize: Resize, num_classes: int, ignore: int | None
) -> Tensor:
    """Reads a label map: a palette or grey image, 8 or 16 bit, whose values are class indices.

    Arguments:
        path: The file.
        size: The height and width wanted, None for its own.
        resize: As for the photo that it is of, but by the nearest pixel; what is added at the sides is unknown.
        num_classes: The number of classes K.
        ignore: An index that means unknown, beside 255.

    Returns:
        uint8 [height, width] in 0 … K − 1, or 255 for unknown.

    Raises:
        UserError: If the file cannot be read or has indices of no class.
    """
    values = _read(path)
    wrong = wrong_labels(values, num_classes, ignore)
    if wrong:
        raise UserError(f"{path}: {_classes(wrong)}, but classes run from 0 to {num_classes - 1}")
    if ignore is not None:
        values = np.where(values == ignore, UNKNOWN, values)
    return torch.from_numpy(_fitted(values.astype(np.uint8), size, resize, UNKNOWN))


def decode_indices(path: Path, size: tuple[int, int] | None, resize: Resize) -> Tensor:
    """Reads a map of instances, int32 [height, width], likewise; what is added at the sides is 0."""
    return torch.from_numpy(_fitted(_read(path), size, resize, 0))


def wrong_labels(values: NDArray[np.int32], num_classes: int, ignore: int | None) -> list[int]:
    """Returns the values in a map that are neither a class nor unknown, in order."""
    known = (values >= 0) & (values < num_classes) | (values == UNKNOWN)
    if ignore is not None:
        known |= values == ignore
    return np.unique(values[~known]).tolist()


def _read(path: Path) -> NDArray[np.int32]:
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise UserError(f"{path}: JPEG changes indices; a map must be a file without loss, such as PNG")
    with opened(path) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise UserError(
                f"{path}: has colours (mode {image.mode}), where a map has one index per pixel; save it as a palette "
                "or grey image"
            )
        return np.array(image).astype(np.int32)


def _fitted(
    values: NDArray[np.uint8 | np.int32], size: tuple[int, int] | None, resize: Resize, beside: int
) -> NDArray[np.uint8 | np.int32]:
    if size is None:
        return values
    image = Image.fromarray(values)
    canvas = Image.new(image.mode, (size[1], size[0]), beside)
    return np.array(fit(image, canvas, resize, Image.Resampling.NEAREST))


def _classes(wrong: list[int]) -> str:
    listed = ", ".join(map(str, wrong[:5])) + (", …" if len(wrong) > 5 else "")
    return f"has the ind{'ex' if len(wrong) == 1 else 'ices'} {listed}"
