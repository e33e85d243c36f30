r"""Halving and doubling maps of any size with the low-pass filter [1, 3, 3, 1].

An odd side halves to its upper half and is got back by doubling and leaving out the last row or column. Beyond the
border stands the outermost pixel once more, so that constants stay constant and, at even sizes, means stay means.
Everything is a sum of slices: deterministic, and differentiable twice, on every device.
"""

__all__ = ["blur", "downsample", "upsample"]

import torch
from torch import Tensor
from torch.nn.functional import pad


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Doubles maps [B, C, H, W] bilinearly and crops them to a size, each side of it 2·n or 2·n − 1."""
    for dim, length in zip((2, 3), size, strict=True):
        n = x.shape[dim]
        assert 2 * n - length in (0, 1), f"{n} doubled is not {length}"
        before = torch.cat([x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)], dim)
        after = torch.cat([x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)], dim)
        # The filter's phases: [1, 3]/4 left of a pixel's centre and [3, 1]/4 right of it.
        phases = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim + 1)
        x = phases.flatten(dim, dim + 1).narrow(dim, 0, length)
    return x


def downsample(x: Tensor) -> Tensor:
    """Halves maps [B, C, H, W], odd sides to their upper half; at even sizes the transpose of `upsample`, over 4."""
    for dim in (2, 3):
        if x.shape[dim] % 2:
            x = torch.cat([x, x.narrow(dim, x.shape[dim] - 1, 1)], dim)
        n = x.shape[dim] // 2
        even, odd = x.unflatten(dim, (n, 2)).unbind(dim + 1)
        before = torch.cat([even.narrow(dim, 0, 1), odd.narrow(dim, 0, n - 1)], dim)
        after = torch.cat([even.narrow(dim, 1, n - 1), odd.narrow(dim, n - 1, 1)], dim)
        x = 0.375 * (even + odd) + 0.125 * (before + after)
    return x


def blur(x: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Filters maps [B, C, H, W] by [1, 3, 3, 1]/8 along both sides, after padding them with zeros.

    Arguments:
        x: The maps.
        before: The zeros above and left of them.
        after: The zeros below and right of them.

    Returns:
        Maps whose sides are those of the padded ones less 3.
    """
    x = pad(x, (before[1], after[1], before[0], after[0]))
    for dim in (2, 3):
        n = x.shape[dim] - 3
        first, second, third, fourth = (x.narrow(dim, i, n) for i in range(4))
        x = 0.125 * (first + fourth) + 0.375 * (second + third)
    return x
