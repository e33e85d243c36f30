"""A folder of image files as samples to score: pixels are taken as they are, or refused, never changed."""

__all__ = ["GivenFolder"]

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lit_gen.contracts import Shape
from lit_gen.datamodules.folder_scan import SUFFIXES
from lit_gen.errors import UserError, first_line

_LOSSLESS = {"1": "L", "P": "RGBA", "PA": "RGBA", "LA": "LA", "L": "L", "RGB": "RGB", "RGBA": "RGBA"}
"""What 8-bit modes are read as without loss; other modes have no 8-bit grey or RGB of their own."""


class GivenFolder:
    """Creates the images of a folder and its subfolders, in the order of their paths; hidden ones are passed over.

    Grey images serve where three channels are wanted, and RGB ones whose channels are equal where one is; an alpha
    channel that is opaque everywhere is dropped. Whatever would need a decision (a size, colour to grey, 16 bit,
    transparency) is an error: the decision would change the score.

    Arguments:
        folder: The folder.

    Raises:
        UserError: If there are no images.
    """

    def __init__(self, folder: Path) -> None:
        self.paths: list[Path] = []
        for parent, folders, files in os.walk(folder, followlinks=False):
            folders[:] = [name for name in folders if not name.startswith(".")]
            self.paths += [
                Path(parent, name) for name in files if Path(name).suffix.lower() in SUFFIXES and name[0] != "."
            ]
        self.paths.sort()
        if not self.paths:
            kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
            raise UserError(f"there are no images in {folder} (looked for {kinds})")

    def __len__(self) -> int:
        """The number of files."""
        return len(self.paths)

    def images(self, shape: Shape) -> Iterator[np.ndarray]:
        """Yields the images, uint8 [C, H, W].

        Raises:
            UserError: If a file cannot be read, or its image does not fit; it names the file.
        """
        for path in self.paths:
            yield _read(path, shape)


def _read(path: Path, shape: Shape) -> np.ndarray:
    channels, height, width = shape
    try:
        with Image.open(path) as file:
            mode = _LOSSLESS.get(file.mode)
            image = ImageOps.exif_transpose(file)
            pixels = None if mode is None else np.array(image.convert(mode))
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: cannot be read as an image (it is empty, damaged or of an unknown format)") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UserError(f"{path}: cannot be read as an image ({first_line(error)})") from error
    if pixels is None:
        kind = "16-bit or float grey" if image.mode.startswith(("I", "F")) else image.mode
        raise UserError(f"{path} is {kind}; save it as 8-bit grey or RGB, the scaling being yours to choose")
    if pixels.shape[:2] != (height, width):
        raise UserError(
            f"{path} is {pixels.shape[0]}×{pixels.shape[1]} (height×width), the data's images are {height}×{width}; "
            "resize the samples, or name data of their size (--data.image_size, where the data have it)"
        )
    pixels = pixels.reshape(height, width, -1)
    if mode in ("LA", "RGBA"):
        if pixels[..., -1].min() < 255:
            raise UserError(f"{path} has transparent pixels; put it on an opaque background, the colour being yours")
        pixels = pixels[..., :-1]
    if channels == 3 and pixels.shape[2] == 1:
        pixels = pixels.repeat(3, axis=2)
    elif channels == 1 and pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    if pixels.shape[2] != channels:
        kinds = {1: "grey", 3: "RGB"}
        wanted = kinds.get(channels, f"of {channels} channels")
        raise UserError(f"{path} is {kinds[pixels.shape[2]]}, the data's images are {wanted}; give images of that kind")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
