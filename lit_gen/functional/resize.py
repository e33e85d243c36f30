"""The resize that published scores were computed with, as two matrix products."""

__all__ = ["resize_tensorflow1"]

import torch
from torch import Tensor


def resize_tensorflow1(image: Tensor, size: int) -> Tensor:
    """Resizes images by the bilinear interpolation of TensorFlow 1.

    Pixel i of the output lies at i·H/size in the input, without half-pixel centres and without antialiasing: what
    torch-fidelity does before every network. It is separable, and so one matrix product for rows and one for columns.

    Arguments:
        image: Of a floating point type, shape [N, C, H, W].
        size: The height and width S of the result.

    Returns:
        Images of shape [N, C, S, S] in the same range.
    """
    rows, columns = (_matrix(side, size, image) for side in image.shape[-2:])
    return rows @ image @ columns.T


def _matrix(side: int, size: int, like: Tensor) -> Tensor:
    """Returns the interpolation along one side, shape [size, side]."""
    # In float32 and on the CPU whatever the images are in: places round as they did when scores were published.
    source = torch.arange(size, dtype=torch.float32) * (side / size)
    low = source.long()
    weight = source - low
    matrix = torch.zeros(size, side)
    matrix.scatter_add_(1, low[:, None], 1.0 - weight[:, None])
    matrix.scatter_add_(1, (low + 1).clamp(max=side - 1)[:, None], weight[:, None])
    return matrix.to(like)
