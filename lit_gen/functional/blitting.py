"""Changes of images that move whole pixels: mirroring, quarter turns, shifts; no value is computed anew.

Each image has its own parameters, which stay on the device; gradients pass, of any order.
"""

__all__ = ["mirrored", "shifted", "turned"]

from typing import Literal

import torch
from torch import Tensor


def mirrored(x: Tensor, where: Tensor) -> Tensor:
    """Mirrors some images left to right.

    Arguments:
        x: Images, shape [B, C, H, W].
        where: Which ones, bool, shape [B].
    """
    return torch.where(where[:, None, None, None], x.flip(3), x)


def turned(x: Tensor, quarters: Tensor) -> Tensor:
    """Turns square images counterclockwise by quarter turns.

    Arguments:
        x: Images, shape [B, C, H, H].
        quarters: How many quarter turns, integers of 0 to 3, shape [B].
    """
    assert x.shape[2] == x.shape[3], f"quarter turns need square images, not {tuple(x.shape)}"
    k = quarters[:, None, None, None]
    # A quarter turn exchanges rows and columns, then turns the rows upside down; the others follow.
    x = torch.where(k % 2 == 1, x.transpose(2, 3), x)
    x = torch.where((k == 1) | (k == 2), x.flip(2), x)
    return torch.where((k == 2) | (k == 3), x.flip(3), x)


def shifted(x: Tensor, down: Tensor, right: Tensor, fill: Literal["zeros", "reflection"]) -> Tensor:
    """Shifts images by whole pixels.

    Arguments:
        x: Images, shape [B, C, H, W].
        down: By how many pixels downwards, int64, shape [B].
        right: By how many pixels to the right, int64, shape [B].
        fill: What comes in from outside: ``zeros``, or the image's ``reflection`` about its outermost pixels.
    """
    _, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device) - down[:, None]
    columns = torch.arange(width, device=x.device) - right[:, None]
    if fill == "zeros":
        inside = _inside(rows, height)[:, None, :, None] & _inside(columns, width)[:, None, None, :]
        rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    else:
        rows, columns = _reflected(rows, height), _reflected(columns, width)
    x = x.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    x = x.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))
    return x * inside if fill == "zeros" else x


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Maps indices … −2, −1, 0, 1 … to … 2, 1, 0, 1 …, and likewise at the other end, however far outside."""
    period = max(2 * (size - 1), 1)
    return size - 1 - (index.remainder(period) - (size - 1)).abs()
