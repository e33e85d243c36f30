"""The Fréchet distance between two Gaussians."""

__all__ = ["frechet_distance"]

import torch
from torch import Tensor


def _factor(covariance: Tensor) -> Tensor:
    """Returns F of shape [r, D] with FᵀF equal to a covariance [D, D] of rank r."""
    eigenvalue, eigenvector = torch.linalg.eigh(covariance)
    # Below this bound an eigenvalue is rounding error of either sign. Its square root would be eight digits larger than
    # itself, so it is left out: that is what keeps the distance right when there are fewer samples than features.
    bound = eigenvalue[-1].clamp(min=0.0) * len(eigenvalue) * torch.finfo(eigenvalue.dtype).eps
    kept = eigenvalue > bound
    factor: Tensor = eigenvalue[kept].sqrt()[:, None] * eigenvector[:, kept].T
    return factor


def frechet_distance(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> Tensor:
    r"""Returns the squared Fréchet (2-Wasserstein) distance between N(μ₁, Σ₁) and N(μ₂, Σ₂).

    .. math:: d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2) - 2\,\mathrm{tr}\,(\Sigma_1 \Sigma_2)^{1/2}

    With :math:`\Sigma_i = F_i^T F_i` the last trace is the sum of the singular values of :math:`F_1 F_2^T`. The factors
    come from symmetric eigendecompositions and have as many rows as the covariances have rank, so that nothing is
    inverted, rank-deficient covariances are exact to float64, and few samples in many dimensions are cheap.

    References:
        | The Fréchet distance between multivariate normal distributions (Dowson & Landau, 1982)
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

    Arguments:
        mean_1: The first mean, shape [D].
        covariance_1: The first covariance, symmetric positive semidefinite, shape [D, D].
        mean_2: The second mean, shape [D].
        covariance_2: The second covariance, shape [D, D].

    Returns:
        The distance in float64, a scalar ≥ 0.

    Raises:
        ValueError: If a mean or a covariance is not finite.
    """
    assert mean_1.shape == mean_2.shape and mean_1.ndim == 1, "means are vectors of one length"
    assert covariance_1.shape == covariance_2.shape == (len(mean_1), len(mean_1)), "covariances are D × D"
    mean_1, covariance_1, mean_2, covariance_2 = (
        statistic.to(torch.float64) for statistic in (mean_1, covariance_1, mean_2, covariance_2)
    )
    if not all(statistic.isfinite().all() for statistic in (mean_1, covariance_1, mean_2, covariance_2)):
        raise ValueError("the statistics hold NaN or infinity")
    cross = torch.linalg.svdvals(_factor(covariance_1) @ _factor(covariance_2).T).sum()
    squared: Tensor = (mean_1 - mean_2).square().sum() + covariance_1.trace() + covariance_2.trace() - 2.0 * cross
    return squared.clamp(min=0.0)
