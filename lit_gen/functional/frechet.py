"""The Fréchet distance between two Gaussians, and how much of it each point is answerable for."""

__all__ = ["frechet_distance", "frechet_influence"]

import torch
from torch import Tensor

_EPS = torch.finfo(torch.float64).eps


def _factor(covariance: Tensor, points: Tensor | None) -> Tensor:
    """Returns F of shape [R, D] with FᵀF equal to a covariance [D, D], R being its rank or a little more."""
    size = len(covariance)
    if points is not None and len(points) <= size:
        # No more points than dimensions: they are a factor themselves, and no digit is lost in products.
        x = points.to(torch.float64)
        centred: Tensor = (x - x.mean(dim=0)) / (len(x) - 1) ** 0.5
        return centred
    lower, failed = torch.linalg.cholesky_ex(covariance)
    largest = covariance.diagonal().max()
    # A pivot near rounding error means a rank that is not full: its root would be eight digits larger than itself.
    if not failed and lower.diagonal().square().min() > 1e3 * size * _EPS * largest:
        return lower.T
    eigenvalue, eigenvector = torch.linalg.eigh(covariance)
    kept = eigenvalue > eigenvalue[-1].clamp(min=0.0) * size * _EPS
    factor: Tensor = eigenvalue[kept].sqrt()[:, None] * eigenvector[:, kept].T
    return factor


def _nuclear_norm(cross: Tensor) -> Tensor:
    """Returns the sum of the singular values of a matrix."""
    if min(cross.shape) == 0:
        return cross.new_zeros(())
    square = cross @ cross.T if len(cross) <= cross.shape[1] else cross.T @ cross
    # Eigenvalues of the square take a third of the time. They are wrong by rounding error of the largest, which shows
    # in the roots of small ones: where it does, singular values are worth their time.
    eigenvalue = torch.linalg.eigvalsh(square)
    value = eigenvalue.clamp(min=0.0).sqrt()
    error = (_EPS * eigenvalue[-1] / (2.0 * value)).sum()
    if error <= 1e-11 * value.sum():
        return value.sum()
    return torch.linalg.svdvals(cross).sum()


def _checked(*statistics: Tensor) -> list[Tensor]:
    mean_1, covariance_1, mean_2, covariance_2 = statistics
    assert mean_1.shape == mean_2.shape and mean_1.ndim == 1, "means are vectors of one length"
    assert covariance_1.shape == covariance_2.shape == (len(mean_1), len(mean_1)), "covariances are D × D"
    if not all(statistic.isfinite().all() for statistic in statistics):
        raise ValueError("the statistics hold NaN or infinity")
    return [statistic.to(torch.float64) for statistic in statistics]


def frechet_distance(
    mean_1: Tensor,
    covariance_1: Tensor,
    mean_2: Tensor,
    covariance_2: Tensor,
    points_1: Tensor | None = None,
    points_2: Tensor | None = None,
) -> Tensor:
    r"""Returns the squared Fréchet (2-Wasserstein) distance between N(μ₁, Σ₁) and N(μ₂, Σ₂).

    .. math:: d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2) - 2\,\mathrm{tr}\,(\Sigma_1 \Sigma_2)^{1/2}

    With :math:`\Sigma_i = F_i^T F_i` the last trace is the sum of the singular values of :math:`F_1 F_2^T`. A factor is
    the centred points where there are no more of them than dimensions, so that the cross term is N × N; else
    Cholesky's where the covariance has full rank; else it comes from the eigendecomposition, without what is rounding
    error. Nothing is inverted.

    References:
        | The Fréchet distance between multivariate normal distributions (Dowson & Landau, 1982)
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

    Arguments:
        mean_1: The first mean, shape [D].
        covariance_1: The first covariance, symmetric positive semidefinite, shape [D, D].
        mean_2: The second mean, shape [D].
        covariance_2: The second covariance, shape [D, D].
        points_1: All the points whose moments the first are (ddof 1), shape [N, D]; looked at only if N ≤ D.
        points_2: The same of the second, shape [M, D].

    Returns:
        The distance in float64, a scalar ≥ 0.

    Raises:
        ValueError: If a mean or a covariance is not finite.
    """
    mean_1, covariance_1, mean_2, covariance_2 = _checked(mean_1, covariance_1, mean_2, covariance_2)
    cross = _nuclear_norm(_factor(covariance_1, points_1) @ _factor(covariance_2, points_2).T)
    squared: Tensor = (mean_1 - mean_2).square().sum() + covariance_1.trace() + covariance_2.trace() - 2.0 * cross
    return squared.clamp(min=0.0)


def frechet_influence(
    x: Tensor,
    mean_1: Tensor,
    covariance_1: Tensor,
    mean_2: Tensor,
    covariance_2: Tensor,
    points_1: Tensor | None = None,
    points_2: Tensor | None = None,
) -> Tensor:
    r"""Returns how the distance moves when N(μ₁, Σ₁) gives a little more weight to each of some points, centred.

    .. math:: \psi(x) = 2 (\mu_1 - \mu_2)^T (x - \mu_1) + (x - \mu_1)^T (I - T) (x - \mu_1) - \mathrm{const}

    with the optimal map :math:`T = F_1^{+} M^{1/2} F_1^{+T}`, :math:`M = F_1 \Sigma_2 F_1^T`, from the first Gaussian
    to the second: the gradient of the distance in :math:`\Sigma_1` is :math:`I - T`. By the delta method the distance
    of N points has the variance :math:`\mathrm{Var}\,\psi / N`. It is taken on the range of the first covariance,
    outside of which the distance has no derivative.

    References:
        | Limit laws of the empirical Wasserstein distance: Gaussian distributions (Rippl et al., 2016)
        | https://arxiv.org/abs/1507.04090

    Arguments:
        x: The points, all or some of those whose moments the first are, shape [n, D].
        mean_1: As of `frechet_distance`, like all that follow.
        covariance_1: The first covariance.
        mean_2: The second mean.
        covariance_2: The second covariance.
        points_1: All the first points.
        points_2: All the second points.

    Returns:
        The influences in float64 with mean zero, shape [n].
    """
    mean_1, covariance_1, mean_2, covariance_2 = _checked(mean_1, covariance_1, mean_2, covariance_2)
    factor = _factor(covariance_1, points_1)
    cross = factor @ _factor(covariance_2, points_2).T
    eigenvalue, eigenvector = torch.linalg.eigh(cross @ cross.T)
    centred = x.to(torch.float64) - mean_1
    # z with F₁ᵀz = x − μ₁, the shortest.
    if factor.shape[0] == factor.shape[1] and not factor.tril(-1).any():
        z = torch.linalg.solve_triangular(factor.T, centred.T, upper=False).T
    else:
        spread, axis = torch.linalg.eigh(factor @ factor.T)
        kept = spread > spread[-1].clamp(min=0.0) * max(factor.shape) * _EPS
        z = (centred @ factor.T @ axis[:, kept] / spread[kept]) @ axis[:, kept].T
    moved = ((z @ eigenvector).square() * eigenvalue.clamp(min=0.0).sqrt()).sum(dim=1)
    psi: Tensor = 2.0 * centred @ (mean_1 - mean_2) + centred.square().sum(dim=1) - moved
    return psi - psi.mean()
