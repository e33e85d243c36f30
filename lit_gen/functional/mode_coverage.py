r"""How well generated points cover a known distribution: modes, quality, divergences, moments.

Divergences are between cell masses of a fixed grid with one more cell for all that lies outside: q the shares of the
generated points, p the truth. Their estimate is biased upwards by about (cells in use − 1) / (2 N) nats.
"""

__all__ = [
    "MIN_MASS",
    "cell_centres",
    "cell_shares",
    "covariance_error",
    "cell_masses",
    "high_quality_share",
    "js_divergence",
    "kl_divergence",
    "mean_error",
    "mode_counts",
    "modes_found",
]

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

MIN_MASS = 1e-8
"""The least mass of a cell in a divergence: a point where there should be none costs no more than this allows."""

Bounds = Sequence[tuple[float, float]]


def mode_counts(points: Tensor, modes: Tensor, std: float, sigmas: float = 3.0) -> Tensor:
    """Counts, for each mode, the points nearest to it that lie within `sigmas` standard deviations, int64 [K].

    Arguments:
        points: Shape [N, D].
        modes: The modes' places, shape [K, D].
        std: The modes' standard deviation.
        sigmas: The radius that counts, in standard deviations.
    """
    assert points.ndim == modes.ndim == 2 and points.shape[1] == modes.shape[1]
    distance, nearest = torch.cdist(points.double(), modes.double()).min(dim=1)
    return nearest[distance <= sigmas * std].bincount(minlength=len(modes))


def modes_found(counts: Tensor, num: int, least: float = 0.1) -> int:
    """Returns how many modes hold at least `least` of their fair share of all points, num / K.

    Arguments:
        counts: Points per mode, shape [K]; see `mode_counts`.
        num: The number of all points.
        least: The share of the fair share that a mode needs.
    """
    return int((counts >= max(1.0, least * num / len(counts))).sum())


def high_quality_share(counts: Tensor, num: int) -> float:
    """Returns the share of all points that lie near a mode.

    Arguments:
        counts: Points per mode, shape [K]; see `mode_counts`.
        num: The number of all points.
    """
    return int(counts.sum()) / num


def cell_shares(points: Tensor, bounds: Bounds, cells: int) -> Tensor:
    """Returns the share of the points in each cell of a grid, float64 [cells^D + 1], the last outside of it.

    Arguments:
        points: Shape [N, D].
        bounds: The grid's lowest and highest value of each coordinate.
        cells: The cells per coordinate.
    """
    low, high = torch.tensor(bounds, dtype=torch.float64).T
    place = ((points.cpu().double() - low) / (high - low) * cells).floor()
    inside = ((place >= 0) & (place < cells)).all(dim=1)  # false of NaN
    place = torch.where(inside[:, None], place, 0.0).long()
    powers = cells ** torch.arange(place.shape[1]).flip(0)
    index = torch.where(inside, (place * powers).sum(1), cells ** place.shape[1])
    return index.bincount(minlength=cells ** place.shape[1] + 1).double() / len(points)


def cell_centres(bounds: Bounds, cells: int) -> Tensor:
    """Returns the middle of each cell, float64 [cells^D, D], the last coordinate running fastest."""
    steps = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    axes = [low + (high - low) * steps for low, high in bounds]
    return torch.cartesian_prod(*axes).view(-1, len(axes))


def cell_masses(log_prob: Callable[[Tensor], Tensor], bounds: Bounds, cells: int, fine: int = 8) -> Tensor:
    """Returns the mass of each cell under a density, float64 [cells^D + 1], the last what is left outside.

    Each cell's mass is a midpoint sum over `fine` places per coordinate.

    Arguments:
        log_prob: Maps points [N, D] to log densities [N].
        bounds: The grid's lowest and highest value of each coordinate.
        cells: The cells per coordinate.
        fine: The places per coordinate in each cell.
    """
    dim = len(bounds)
    density = torch.cat([log_prob(part).exp() for part in cell_centres(bounds, cells * fine).split(1 << 16)])
    volume = math.prod((high - low) / (cells * fine) for low, high in bounds)
    blocks = density.view([size for _ in range(dim) for size in (cells, fine)])
    masses = volume * blocks.sum(dim=tuple(range(1, 2 * dim, 2))).flatten()
    return torch.cat([masses, (1.0 - masses.sum()).clamp(min=0.0)[None]])


def kl_divergence(q: Tensor, p: Tensor) -> float:
    """Returns KL(q ‖ p) = Σ q log(q / p) in nats; cells of p have at least `MIN_MASS`.

    Arguments:
        q: Masses that sum to 1, shape [M].
        p: Masses that sum to 1, shape [M].
    """
    return float((torch.special.xlogy(q, q) - q * p.clamp(min=MIN_MASS).log()).sum())


def js_divergence(q: Tensor, p: Tensor) -> float:
    """Returns the Jensen–Shannon divergence in nats, in [0, log 2]; arguments as for `kl_divergence`."""
    m = 0.5 * (p + q)
    entropies = [torch.special.xlogy(mass, mass).sum() for mass in (p, q, m)]
    return float(0.5 * entropies[0] + 0.5 * entropies[1] - entropies[2])


def mean_error(points: Tensor, mean: Tensor) -> float:
    """Returns the largest deviation of any coordinate of the points' mean.

    Arguments:
        points: Shape [N, D].
        mean: The true mean, shape [D].
    """
    return float((points.double().mean(0) - mean.to(points.device)).abs().max())


def covariance_error(points: Tensor, covariance: Tensor) -> float:
    """Returns ‖Ĉ − C‖ / ‖C‖ in the Frobenius norm, Ĉ the points' covariance.

    Arguments:
        points: Shape [N, D].
        covariance: The true covariance C, shape [D, D].
    """
    estimate = torch.cov(points.double().T).view(covariance.shape)
    truth = covariance.to(estimate)
    return float(torch.linalg.matrix_norm(estimate - truth) / torch.linalg.matrix_norm(truth))
