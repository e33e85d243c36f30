"""Many images in one."""

__all__ = ["image_grid"]

import math

import torch
from torch import Tensor


def image_grid(images: Tensor, columns: int | None = None, padding: int = 2, background: int = 0) -> Tensor:
    """Tiles images row by row into one image.

    Arguments:
        images: uint8, shape [N, C, H, W]. Of more than three channels the first three are shown, of two the first.
        columns: The images per row; by default as many as make the grid about square.
        padding: The pixels between images and around them.
        background: The value of these pixels, and of places that are left over.

    Returns:
        uint8 [C', R·(H + padding) + padding, columns·(W + padding) + padding] with R = ⌈N / columns⌉ and C' 1 or 3.
    """
    assert images.dtype == torch.uint8 and images.ndim == 4 and len(images)
    images = images[:, : 3 if images.shape[1] >= 3 else 1]
    num, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    tiles = images.new_full((rows * columns, channels, height + padding, width + padding), background)
    tiles[:num, :, padding:, padding:] = images
    tiled = tiles.view(rows, columns, *tiles.shape[1:]).permute(2, 0, 3, 1, 4)
    grid = tiled.reshape(channels, rows * (height + padding), columns * (width + padding))
    return torch.nn.functional.pad(grid, (0, padding, 0, padding), value=background)
