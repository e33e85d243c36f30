r"""Images too large for a network at once, mapped piece by piece, with seams that cannot be seen.

Along a side, tiles i overlap their neighbours by at least the overlap o, and tile i's pixel counts with

.. math:: w_i(d) = \min(1, \max(0, (d + 1/2 - m) / (o - 2m)))

at d pixels from a border that another tile continues: not at all within the margin m = ⌊o / 4⌋, where the network saw
the tile's border in place of the image, and then in proportion.
"""

__all__ = ["tile_starts", "tile_weights", "tiled"]

import math
from collections.abc import Callable

import torch
from torch import Tensor


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Places tiles along a side, as few as cover it and as evenly as pixels allow.

    Arguments:
        length: The side's pixels.
        tile: A tile's pixels.
        overlap: The least pixels that neighbours share, below `tile`.

    Returns:
        Where they begin; a single 0 if the side is no longer than a tile.
    """
    assert 0 <= overlap < tile
    if length <= tile:
        return [0]
    gaps = math.ceil((length - tile) / (tile - overlap))
    return [i * (length - tile) // gaps for i in range(gaps + 1)]


def tile_weights(length: int, overlap: int, first: bool, last: bool) -> Tensor:
    """Returns how much each pixel of a tile counts along one side, float32 [length], before tiles are normalised.

    Arguments:
        length: The tile's pixels.
        overlap: The least pixels that neighbours share.
        first: Whether it begins where the image does: nothing is lost at that border.
        last: Whether it ends where the image does.
    """
    weights, margin = torch.ones(length), overlap // 4
    if overlap:
        ramp = ((torch.arange(length) + 0.5 - margin) / (overlap - 2 * margin)).clamp(0, 1)
        weights = weights if first else weights * ramp
        weights = weights if last else weights * ramp.flip(0)
    return weights


def tiled(function: Callable[[slice, slice], Tensor], height: int, width: int, tile: int, overlap: int) -> Tensor:
    """Maps an image tile by tile and blends what comes out.

    The result is that of the whole image, up to rounding, if no pixel of it depends on others further away than a
    quarter of the overlap.

    Arguments:
        function: Maps the tile of some rows and columns to an image of the same size, [1, C, rows, columns].
        height, width: The image's size.
        tile: The most pixels of a tile's sides.
        overlap: The least pixels that neighbouring tiles share, below `tile`.

    Returns:
        float32 [1, C, height, width] on the CPU.

    Raises:
        ValueError: If the function returns a tile of another size.
    """
    tops, lefts = tile_starts(height, tile, overlap), tile_starts(width, tile, overlap)
    out, total = torch.zeros(1, 1, 1, 1), torch.zeros(height, width)
    for top in tops:
        for left in lefts:
            rows, columns = slice(top, min(top + tile, height)), slice(left, min(left + tile, width))
            part = function(rows, columns).float().cpu()
            down = tile_weights(rows.stop - rows.start, overlap, top == 0, rows.stop == height)
            along = tile_weights(columns.stop - columns.start, overlap, left == 0, columns.stop == width)
            weights = down[:, None] * along
            if part.shape[2:] != weights.shape:
                wanted, got = ("×".join(map(str, shape)) for shape in (weights.shape, part.shape[2:]))
                raise ValueError(f"a tile of {wanted} pixels became one of {got}")
            if out.shape[1] != part.shape[1] or out.shape[2:] != total.shape:
                out = torch.zeros(1, part.shape[1], height, width)
            out[:, :, rows, columns] += part * weights
            total[rows, columns] += weights
    return out.div_(total)
