"""Sizes and widths of networks that halve or double their maps stage by stage, for images of any size."""

__all__ = ["doubled_widths", "halvings", "nearest_maps"]

import math
from collections.abc import Sequence

from lit_gen.contracts import Shape
from lit_gen.errors import UserError


def halvings(image_shape: Shape, coarsest: int = 4) -> list[tuple[int, int]]:
    """Lists the spatial sizes from the image's down to the coarsest map's, each the upper half of the one before.

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        coarsest: Halving stops once the shorter side is at most this.
    """
    _, height, width = image_shape
    if min(height, width) < 8:
        raise UserError(f"the network needs images of at least 8×8 pixels; these are {height}×{width}")
    if coarsest < 1:
        raise UserError(f"coarsest is {coarsest}, and must be at least 1")
    sizes = [(height, width)]
    while min(sizes[-1]) > coarsest:
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    return sizes


def doubled_widths(features: int, max_features: int, num: int) -> list[int]:
    """Lists the channels of `num` maps, from the finest to the coarsest: twice as many each, up to `max_features`."""
    if features < 1 or max_features < 1:
        raise UserError(f"features is {features} and max_features {max_features}; both must be at least 1")
    return [min(features * 2**i, max_features) for i in range(num)]


def nearest_maps(sizes: Sequence[tuple[int, int]], wanted: Sequence[int]) -> set[int]:
    """Returns the indices of the maps whose shorter sides come nearest to those wanted, the first of several as near.

    Arguments:
        sizes: The maps' heights and widths.
        wanted: Shorter sides, such as the paper's for its own image size.
    """
    if any(side < 1 for side in wanted):
        raise UserError(f"attention is {list(wanted)}, and must list map sizes of at least 1")
    return {min(range(len(sizes)), key=lambda i: abs(min(sizes[i]) - side)) for side in wanted}
