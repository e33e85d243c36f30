"""Padding images to sizes that a network can halve again and again, and cropping what it makes of them back."""

__all__ = ["cropped", "padded"]

import math

from torch import Tensor
from torch.nn.functional import pad


def padded(x: Tensor, multiple: int, least: int = 1) -> Tensor:
    """Pads images on all sides by mirroring them, or by repeating their edges where they are too small for that.

    Arguments:
        x: Images, shape [B, C, H, W].
        multiple: What the new height and width are multiples of.
        least: The least that they are.

    Returns:
        Images [B, C, H', W'], the given ones in their middle; these themselves, if their size will do.
    """
    edges, mirror = [], True
    for side in (x.shape[3], x.shape[2]):
        more = math.ceil(max(side, least) / multiple) * multiple - side
        edges += [more // 2, more - more // 2]
        mirror &= edges[-1] < side
    return pad(x, edges, mode="reflect" if mirror else "replicate") if any(edges) else x


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """Cuts the middle out of images [B, C, H', W']: what `padded` was given."""
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return x[:, :, top : top + height, left : left + width]
