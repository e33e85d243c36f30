"""The one way between the uint8 images that are stored and scored and the float images that networks see."""

__all__ = ["from_uint8", "to_uint8"]

import torch
from torch import Tensor


def from_uint8(image: Tensor) -> Tensor:
    """Maps uint8 values in [0, 255] to float32 in [−1, 1] by x / 127.5 − 1; any shape."""
    return image.to(torch.float32).div_(127.5).sub_(1.0)


def to_uint8(image: Tensor) -> Tensor:
    """Maps float values in [−1, 1] to uint8 in [0, 255]: clamped, then rounded to nearest; any shape.

    Values outside [−1, 1] saturate; NaN raises, since no pixel value stands for it.

    Raises:
        ValueError: If the images hold NaN.
    """
    if torch.isnan(image).any():
        raise ValueError("the images hold NaN: the model has diverged")
    return image.float().clamp(-1.0, 1.0).add(1.0).mul(127.5).round_().to(torch.uint8)
