"""From an image file, whatever its mode, to uint8 pixels of one shape."""

__all__ = ["DECODER", "Resize", "colour", "decode", "decode_halves", "decode_image", "decode_whole", "fit", "opened"]

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError
from torch import Tensor

from lit_gen.errors import UserError

Resize: TypeAlias = Literal["crop", "pad", "stretch"]

DECODER = "PIL bilinear antialias, 1"
"""The name of `decode` in fingerprints: other arithmetic, other number."""


def decode(
    path: Path, size: tuple[int, int], resize: Resize, channels: Literal[1, 3], background: tuple[int, int, int]
) -> Tensor:
    """Reads an image file's first frame, upright, on an opaque background, at the size wanted.

    Arguments:
        path: The file.
        size: The height and width wanted.
        resize: ``"crop"`` fills the size and cuts off what stands out on both sides, ``"pad"`` fits the image inside
            and fills up with the background, ``"stretch"`` changes the proportions. All by PIL's bilinear filter,
            which averages when it shrinks.
        channels: 1 for grey, 3 for RGB.
        background: The colour under transparent pixels and beside padded images.

    Returns:
        uint8 [channels, height, width].

    Raises:
        UserError: If the file cannot be read; the message names it.
    """
    with opened(path) as upright:
        return _pixels(_opaque(upright, background), size, resize, channels, background)


def decode_image(
    path: Path, size: tuple[int, int], resize: Resize, channels: Literal[1, 3], background: tuple[int, int, int]
) -> dict[str, Tensor]:
    """Reads an image file as the item that it is; see `decode`."""
    return {"image": decode(path, size, resize, channels, background)}


def decode_whole(path: Path, channels: Literal[1, 3], background: tuple[int, int, int]) -> Tensor:
    """Reads an image file as `decode` does, but at its own size: uint8 [channels, height, width].

    Raises:
        UserError: If the file cannot be read; the message names it.
    """
    with opened(path) as upright:
        image = _opaque(upright, background)
        return _pixels(image, (image.height, image.width), "stretch", channels, background)


def decode_halves(
    path: Path,
    size: tuple[int, int],
    resize: Resize,
    channels: tuple[Literal[1, 3], Literal[1, 3]],
    background: tuple[int, int, int],
) -> tuple[Tensor, Tensor]:
    """Reads an image file whose left and right half are images of their own; see `decode`.

    Arguments:
        path, size, resize, background: See `decode`; `size` is a half's.
        channels: Those of the left and of the right half.

    Raises:
        UserError: If the file cannot be read or its width is odd; the message names it.
    """
    with opened(path) as upright:
        image = _opaque(upright, background)
        if image.width % 2:
            raise ValueError(f"{image.width} pixels across cannot be halved")
        middle = image.width // 2
        boxes = (0, 0, middle, image.height), (middle, 0, image.width, image.height)
        left, right = (
            _pixels(image.crop(box), size, resize, number, background)
            for box, number in zip(boxes, channels, strict=True)
        )
    return left, right


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens an image file, upright, and turns whatever goes wrong while it is read into a UserError that names it."""
    try:
        with Image.open(path) as file:
            yield ImageOps.exif_transpose(file)
    except (MemoryError, UserError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UserError(f"{path}: cannot be read as an image ({_reason(error)})") from error


def colour(name: str, key: str) -> tuple[int, int, int]:
    """Reads a colour such as ``"white"`` or ``"#20a0ff"``.

    Arguments:
        name: The user's value.
        key: The name of the setting, for the message.

    Raises:
        UserError: If there is no such colour.
    """
    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except ValueError:
        raise UserError(f"{key} is '{name}'; it must be a colour such as white, black or #20a0ff") from None
    return red, green, blue


def _opaque(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Turns any mode into 8-bit L or RGB: wide grey values scaled, transparency composited at full resolution."""
    if image.mode.startswith(("I", "F")):
        return _narrow(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _narrow(image: Image.Image) -> Image.Image:
    """Scales grey values of 0 … 65535 to 8 bit by 1/257, where PIL would clip them at 255.

    Float images whose values do not exceed 1 are taken as 0 … 1.
    """
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"values from {values.min():g} to {values.max():g} where 16-bit grey has 0 to 65535")
    scale = 255.0 if image.mode == "F" and values.max() <= 1 else 1 / 257
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))


def _pixels(
    image: Image.Image,
    size: tuple[int, int],
    resize: Resize,
    channels: Literal[1, 3],
    background: tuple[int, int, int],
) -> Tensor:
    image = image.convert("L" if channels == 1 else "RGB")
    # In mode L the background is the colour's grey, by the weights that the image was turned grey with.
    canvas = Image.new("RGB", (size[1], size[0]), background).convert(image.mode)
    pixels = np.array(fit(image, canvas, resize, Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.reshape(*size, channels)).permute(2, 0, 1).contiguous()


def fit(image: Image.Image, canvas: Image.Image, resize: Resize, filter: Image.Resampling) -> Image.Image:
    """Brings an image to the size of a canvas of its mode, which shows beside it if it is padded; see `decode`."""
    width, height = canvas.size
    if resize == "stretch":
        return image.resize((width, height), filter)
    if resize == "crop":
        # The largest box of the right proportions around the centre, in the image's own pixels.
        scale = min(image.width / width, image.height / height)
        x, y = (image.width - width * scale) / 2, (image.height - height * scale) / 2
        right, lower = min(x + width * scale, image.width), min(y + height * scale, image.height)
        return image.resize((width, height), filter, box=(max(x, 0), max(y, 0), right, lower))
    scale = min(width / image.width, height / image.height)
    inner = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    canvas.paste(image.resize(inner, filter), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is empty, damaged or of an unknown format"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
