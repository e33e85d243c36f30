"""The squared maximum mean discrepancy between two samples, by any kernel, in blocks of bounded memory."""

__all__ = ["Kernel", "biased_mmd", "gaussian_kernel", "polynomial_kernel", "subset_mmds", "unbiased_mmd"]

from collections.abc import Callable

import torch
from torch import Tensor

from lit_gen.functional.distances import block_length, squared_distances

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Returns k(x, y) for all pairs of rows [M, D] and [N, D], shape [M, N]."""


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


def gaussian_kernel(x: Tensor, y: Tensor, sigma: float = 10.0) -> Tensor:
    """Returns k(x, y) = exp(−‖x − y‖² / 2σ²) for all pairs of rows, float64, shape [M, N].

    Arguments:
        x: Points, shape [M, D].
        y: Points, shape [N, D].
        sigma: The bandwidth σ, in the unit of the points.
    """
    return squared_distances(x, y).mul_(-0.5 / sigma**2).exp_()


def _between(x: Tensor, y: Tensor, p: Tensor, q: Tensor, kernel: Kernel) -> Tensor:
    """Returns Σᵢⱼ pᵢ k(xᵢ, yⱼ) qⱼ for each column of the weights [M, S] and [N, S], shape [S]."""
    size, total = block_length(x.shape[1]), 0.0 * p[0]
    for first, weight in zip(x.split(size), p.split(size), strict=True):
        first = first.to(torch.float64)
        for second, other in zip(y.split(size), q.split(size), strict=True):
            total += (weight * (kernel(first, second.to(torch.float64)) @ other)).sum(0)
    return total


def _within(x: Tensor, p: Tensor, kernel: Kernel) -> Tensor:
    """Returns Σᵢ≠ⱼ pᵢ k(xᵢ, xⱼ) pⱼ for each column of the weights [M, S], shape [S]; each pair is computed once."""
    size, total = block_length(x.shape[1]), 0.0 * p[0]
    for start in range(0, len(x), size):
        block, weight = x[start : start + size].to(torch.float64), p[start : start + size]
        total += (weight * (kernel(block, block).fill_diagonal_(0.0) @ weight)).sum(0)
        total += 2.0 * _between(block, x[start + size :], weight, p[start + size :], kernel)
    return total


def _estimate(x: Tensor, y: Tensor, p: Tensor, q: Tensor, kernel: Kernel) -> Tensor:
    """Returns the unbiased estimate for the subsets whose members have weight 1 in p [M, S] and q [N, S], shape [S]."""
    m, n = p.sum(0), q.sum(0)
    within = _within(x, p, kernel) / (m * (m - 1)) + _within(y, q, kernel) / (n * (n - 1))
    return within - 2.0 * _between(x, y, p, q, kernel) / (m * n)


def unbiased_mmd(x: Tensor, y: Tensor, kernel: Kernel = polynomial_kernel) -> Tensor:
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
        kernel: The kernel k.

    Returns:
        The estimate in float64, a scalar; it is below 0 about half the time when both samples are of one distribution.
    """
    assert x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1], "samples are rows of one length"
    assert len(x) > 1 and len(y) > 1, "the unbiased estimate needs two points on either side"
    p, q = (torch.ones(len(points), 1, dtype=torch.float64, device=points.device) for points in (x, y))
    return _estimate(x, y, p, q, kernel)[0]


def subset_mmds(
    x: Tensor, y: Tensor, x_subsets: Tensor, y_subsets: Tensor, kernel: Kernel = polynomial_kernel
) -> Tensor:
    """Returns the unbiased estimate between subsets of two samples, for S pairs of them, float64, shape [S].

    Subsets of few points overlap much: then the kernel of all pairs of points is computed once, block after block, and
    every block is summed up over the members of each subset. Subsets of many points are taken one by one. The values
    are the same to rounding, the memory is bounded, and the number of products decides.

    Arguments:
        x: The first sample, shape [M, D].
        y: The second sample, shape [N, D].
        x_subsets: The places of each subset's members, each once, int64, shape [S, m].
        y_subsets: The same for the second sample, shape [S, n].
        kernel: The kernel k.
    """
    num, (m, n) = len(x_subsets), (x_subsets.shape[1], y_subsets.shape[1])
    assert len(y_subsets) == num and m > 1 and n > 1, "subsets come in pairs and have two points or more"
    at_once = _pairs(len(x), len(y)) * (x.shape[1] + num)  # each of the kernel's values is summed up for each subset
    if at_once > num * _pairs(m, n) * x.shape[1]:
        return torch.stack([unbiased_mmd(x[i], y[j], kernel) for i, j in zip(x_subsets, y_subsets, strict=True)])
    p, q = (
        torch.zeros(len(points), num, dtype=torch.float64, device=points.device).scatter_(0, subsets.T, 1.0)
        for points, subsets in ((x, x_subsets), (y, y_subsets))
    )
    return _estimate(x, y, p, q, kernel)


def _pairs(m: int, n: int) -> float:
    """Returns how many values of the kernel an estimate needs."""
    return m * m / 2 + n * n / 2 + m * n


def biased_mmd(x: Tensor, y: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    r"""Returns the biased, but non-negative estimate of the squared discrepancy, and its standard error over x.

    .. math:: \frac{1}{M^2} \sum_{i, j} k(x_i, x_j) + \frac{1}{N^2} \sum_{i, j} k(y_i, y_j)
        - \frac{2}{MN} \sum_{i, j} k(x_i, y_j)

    The error is that of first order, :math:`\sqrt{\mathrm{Var}_i\,h(x_i) / M}` with
    :math:`h(x) = 2 (\overline{k(x, x_j)} - \overline{k(x, y_j)})`, given y; for like samples, where h vanishes and the
    estimate is all bias, it is too small.

    References:
        | A Kernel Two-Sample Test (Gretton et al., 2012), equation (5)

    Arguments:
        x: The first sample, shape [M, D], M ≥ 2.
        y: The second sample, shape [N, D].
        kernel: The kernel k.

    Returns:
        Estimate and standard error, float64 scalars.
    """
    assert x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1], "samples are rows of one length"
    own, across = _means(x, x, kernel), _means(x, y, kernel)
    value = own.mean() + _means(y, y, kernel).mean() - 2.0 * across.mean()
    return value.clamp(min=0.0), 2.0 * (own - across).std() / len(x) ** 0.5


def _means(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Returns the mean of k(x, y) over y for each x, float64, shape [M]."""
    size = block_length(x.shape[1])
    parts = []
    for first in x.split(size):
        first = first.to(torch.float64)
        sums = [kernel(first, second.to(torch.float64)).sum(1) for second in y.split(size)]
        parts.append(torch.stack(sums).sum(0) / len(y))
    return torch.cat(parts)
