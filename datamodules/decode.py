"""From an image file, whatever its mode, to uint8 pixels of one shape."""

__all__ = ["DECODER", "Resize", "colour", "decode"]

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
    try:
        with Image.open(path) as file:
            image = _opaque(ImageOps.exif_transpose(file), background).convert("L" if channels == 1 else "RGB")
        pixels = np.array(_fit(image, size, resize, background))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UserError(f"{path}: cannot be read as an image ({_reason(error)})") from error
    return torch.from_numpy(pixels.reshape(*size, channels)).permute(2, 0, 1).contiguous()


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


def _fit(image: Image.Image, size: tuple[int, int], resize: Resize, background: tuple[int, int, int]) -> Image.Image:
    height, width = size
    bilinear = Image.Resampling.BILINEAR
    if resize == "stretch":
        return image.resize((width, height), bilinear)
    if resize == "crop":
        # The largest box of the right proportions around the centre, in the image's own pixels.
        scale = min(image.width / width, image.height / height)
        x, y = (image.width - width * scale) / 2, (image.height - height * scale) / 2
        right, lower = min(x + width * scale, image.width), min(y + height * scale, image.height)
        return image.resize((width, height), bilinear, box=(max(x, 0), max(y, 0), right, lower))
    scale = min(width / image.width, height / image.height)
    inner = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    # In mode L the background is the colour's grey, by the weights that the image was turned grey with.
    canvas = Image.new("RGB", (width, height), background).convert(image.mode)
    canvas.paste(image.resize(inner, bilinear), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is empty, damaged or of an unknown format"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
