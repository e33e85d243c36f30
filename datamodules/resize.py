"""The one resize of images that are in memory, and what it is called."""

__all__ = ["RESIZE", "image_height_width", "resize_uint8"]

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_gen.errors import UserError

RESIZE = "torch bilinear antialias uint8"
"""The name of `resize_uint8` in fingerprints: other arithmetic, other name."""


def resize_uint8(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes by antialiased bilinear interpolation (half-pixel centres) in integer arithmetic.

    Arguments:
        image: uint8, shape [N, C, H, W].
        size: The height and width to come.
    """
    assert image.dtype == torch.uint8
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    # In parts, since torch makes temporary copies of what it resizes.
    parts = [F.interpolate(part, size, mode="bilinear", antialias=True) for part in torch.split(image, 4096)]
    return torch.cat(parts)


def image_height_width(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Reads the user's `image_size`, one number or [height, width].

    Raises:
        UserError: If it is not positive.
    """
    height, width = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if height < 1 or width < 1:
        raise UserError(f"image_size is {image_size}; it must be a positive number of pixels, or [height, width]")
    return height, width
