"""Sizes and widths of networks that halve or double their maps stage by stage, for images of any size."""

__all__ = ["doubled_widths", "halved", "halving_kernel", "halvings", "nearest_maps"]

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


def halved(image_shape: Shape, num: int) -> list[tuple[int, int]]:
    """Lists the spatial sizes from the image's on, each of `num` further ones the upper half of the one before.

    Raises:
        UserError: If a side would be halved beyond one pixel.
    """
    _, height, width = image_shape
    most = (min(height, width) - 1).bit_length()
    if not 0 <= num <= most:
        raise UserError(f"halvings is {num}; images of {height}×{width} pixels can be halved 0 to {most} times")
    return [(math.ceil(height / 2**i), math.ceil(width / 2**i)) for i in range(num + 1)]


def halving_kernel(fine: tuple[int, int]) -> tuple[int, int]:
    """Returns the kernel with which stride 2 and padding 1 take a map of this size exactly to its upper half and back.

    A convolution gives ⌊(n + 2 − k)/2⌋ + 1, a transposed one 2m − 4 + k: with k = 4 for even n and k = 3 for odd n
    these are n/2 ↔ n and (n + 1)/2 ↔ n, so that no size is cropped or padded on one side only.
    """
    return (4 if fine[0] % 2 == 0 else 3, 4 if fine[1] % 2 == 0 else 3)


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
