"""The maximum mean discrepancy with a polynomial kernel, unbiased."""

__all__ = ["polynomial_kernel", "polynomial_mmd"]

import torch
from torch import Tensor


def polynomial_kernel(x: Tensor, y: Tensor, degree: int = 3, gamma: float | None = None, coef: float = 1.0) -> Tensor:
    """Returns k(x, y) = (γ·xᵀy + c)^degree for all pairs of rows, shape [M, N].

    Arguments:
        x: Points, shape [M, D].
        y: Points, shape [N, D].
        degree: The exponent.
        gamma: The factor γ; 1 / D by default.
        coef: The constant c.
    """
    gamma = 1.0 / x.shape[1] if gamma is None else gamma
    return (x @ y.T).mul_(gamma).add_(coef).pow_(degree)


def polynomial_mmd(x: Tensor, y: Tensor, degree: int = 3, gamma: float | None = None, coef: float = 1.0) -> Tensor:
    r"""Returns the unbiased estimate of the squared maximum mean discrepancy between two samples.

    .. math:: \frac{1}{M(M-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{N(N-1)} \sum_{i \ne j} k(y_i, y_j)
        - \frac{2}{MN} \sum_{i, j} k(x_i, y_j)

    References:
        | A Kernel Two-Sample Test (Gretton et al., 2012)
        | Demystifying MMD GANs (Bińkowski et al., 2018)
        | https://arxiv.org/abs/1801.01401

    Arguments:
        x: The first sample, shape [M, D], M ≥ 2.
        y: The second sample, shape [N, D], N ≥ 2.
        degree: The exponent of the kernel.
        gamma: The factor of the kernel; 1 / D by default.
        coef: The constant of the kernel.

    Returns:
        The estimate in float64, a scalar; it is below 0 about half the time when both samples are of one distribution.
    """
    assert x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1], "samples are rows of one length"
    assert len(x) > 1 and len(y) > 1, "the unbiased estimate needs two points on either side"
    x, y = x.to(torch.float64), y.to(torch.float64)
    within = []
    for points in (x, y):
        kernel = polynomial_kernel(points, points, degree, gamma, coef)
        within.append((kernel.sum() - kernel.trace()) / (len(points) * (len(points) - 1)))
    return within[0] + within[1] - 2.0 * polynomial_kernel(x, y, degree, gamma, coef).mean()
