r"""The arithmetic of exponential moving averages whose memory is measured in images, not in steps.

With weights θ and half-life h, n images later the average θ̄ has become

.. math:: \bar\theta \leftarrow \bar\theta + (1 - 2^{-n/h}) \, (\theta - \bar\theta)

so that the average remembers the same number of images whatever the batch size and the number of processes.
"""

__all__ = ["average_dtype", "move_averages_", "ramped_half_life", "share_of_new"]

import math

import torch
from torch import Tensor


def share_of_new(images: float, half_life: float) -> float:
    """Returns 1 − 2^(−images / half_life): how far the average moves to the present weights; 1 for a half-life of 0.

    Arguments:
        images: The images since the average last moved.
        half_life: The images after which a weight counts half.
    """
    # expm1 keeps the digits that 1 − decay loses when the half-life is long.
    return -math.expm1(-math.log(2.0) * images / half_life) if half_life > 0 else 1.0


def ramped_half_life(half_life: float, ramp_up: float | None, images_seen: float) -> float:
    """Returns a half-life of at most `ramp_up` × the images seen, so that the first, random weights are soon forgotten.

    Arguments:
        half_life: The half-life in the long run, in images.
        ramp_up: The share of the run so far that the half-life may span; None for no limit.
        images_seen: The images seen so far.
    """
    return half_life if ramp_up is None else min(half_life, ramp_up * images_seen)


def average_dtype(dtype: torch.dtype) -> torch.dtype:
    """Returns the type an average is kept in: a half-precision one would round its small steps away."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


@torch.no_grad()
def move_averages_(averages: list[Tensor], current: list[Tensor], share: float) -> None:
    """Moves averages towards the current values by a share of the way, in place.

    Arguments:
        averages: The averages, of `average_dtype`.
        current: The current values in the same order.
        share: How far to go, in [0, 1]; see `share_of_new`.
    """
    if averages:
        if any(value.dtype != average.dtype for average, value in zip(averages, current, strict=True)):
            current = [value.to(average.dtype) for average, value in zip(averages, current, strict=True)]
        torch._foreach_lerp_(averages, current, share)
