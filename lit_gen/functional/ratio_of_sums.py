r"""Scores that are ratios of sums over images, such as pixel accuracy, and how sure they are.

With counts :math:`a_{ik}, b_{ik}` of image i, and K kinds,

.. math:: R = \frac{1}{K} \sum_k R_k, \qquad R_k = \frac{\sum_i a_{ik}}{\sum_i b_{ik}}
"""

__all__ = ["mean_ratio_of_sums"]

import math

import torch
from torch import Tensor


def mean_ratio_of_sums(numerator: Tensor, denominator: Tensor) -> tuple[Tensor, Tensor]:
    r"""Returns R and its standard error, scalars in float64; both NaN where there is nothing to divide by.

    The error is that of the ratio's first-order expansion around the sums: the deviation over images, divided by √N, of

    .. math:: \frac{1}{K} \sum_k \frac{a_{ik} - R_k b_{ik}}{\bar{b}_k}

    With denominators of 1 it is the standard error of a mean. Kinds whose denominators add up to 0 are left out.

    References:
        | Sampling Techniques (Cochran, 1977), section 2.11

    Arguments:
        numerator: The counts a, shape [N, K], N ≥ 2.
        denominator: The counts b, shape [N, K].
    """
    assert numerator.shape == denominator.shape and len(numerator) >= 2, "a deviation needs at least 2 images"
    a, b = numerator.double(), denominator.double()
    there = b.sum(0) > 0
    if not there.any():
        return torch.tensor(math.nan, dtype=torch.float64), torch.tensor(math.nan, dtype=torch.float64)
    a, b = a[:, there], b[:, there]
    ratio = a.sum(0) / b.sum(0)
    residual = ((a - ratio * b) / b.mean(0)).mean(1)
    return ratio.mean(), residual.std() / math.sqrt(len(a))
