r"""Density and coverage of generated points, by balls around the real ones alone.

Unlike precision and recall (`lit_gen.functional.manifold`), neither builds balls around generated points, where one
outlier is enough to cover much of the space; and density counts the balls that a point lies in, where precision is
content with one ball around a real outlier.
"""

__all__ = ["DensityCoverage", "density_coverage", "expected_coverage"]

from typing import NamedTuple

import torch
from torch import Tensor

from lit_gen.functional.distances import tiles
from lit_gen.functional.neighbours import neighbour_distances


class DensityCoverage(NamedTuple):
    """What `density_coverage` tells, float64 scalars.

    Attributes:
        density: How many real balls a generated point lies in, over k: ≥ 0, 1 in the mean for like distributions.
        coverage: The share of real balls that hold a generated point, in [0, 1].
        density_std: The standard error of the density over generated images, given the real ones.
        coverage_std: That of the coverage, by the jackknife: an upper bound in the mean (Efron & Stein, 1981).
    """

    density: Tensor
    coverage: Tensor
    density_std: Tensor
    coverage_std: Tensor


def density_coverage(fake: Tensor, real: Tensor, neighbours: int = 5) -> DensityCoverage:
    r"""Measures how densely, and how widely, generated points lie around the real ones.

    .. math:: \text{density} = \frac{1}{kN} \sum_{j=1}^N \sum_{i=1}^M 1[x_j \in B_i], \quad
        \text{coverage} = \frac{1}{M} \sum_{i=1}^M 1[\exists j: x_j \in B_i]

    with :math:`B_i` the closed ball around the i-th real point that reaches its k-th nearest real neighbour. The
    standard errors cover the choice of generated images; that of real ones, hence of balls, they leave out.

    References:
        | Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020), equations (3) and (4)
        | https://arxiv.org/abs/2002.09797

    Arguments:
        fake: Features of generated images, shape [N, D], N ≥ 2.
        real: Features of real images, shape [M, D], M > k.
        neighbours: The number k of neighbours that a ball reaches.
    """
    num, device = len(fake), fake.device
    radius = neighbour_distances(real, neighbours)
    balls = torch.zeros(num, dtype=torch.float64, device=device)
    points, places = torch.zeros(2, len(real), dtype=torch.float64, device=device)
    for tile in tiles(fake, real):
        inside = tile.within(radius[tile.columns]).double()
        balls[tile.rows] += inside.sum(dim=1)
        points[tile.columns] += inside.sum(dim=0)
        places[tile.columns] += torch.arange(tile.rows.start, tile.rows.stop, device=device).double() @ inside
    # Without its j-th point, coverage loses the balls that hold that point alone; the sum of places is then its place.
    alone = torch.bincount(places[points == 1].long(), minlength=num).double() / len(real)
    return DensityCoverage(
        density=balls.mean() / neighbours,
        coverage=(points > 0).double().mean(),
        density_std=balls.std() / neighbours / num**0.5,
        coverage_std=(num - 1) / num**0.5 * alone.std(),
    )


def expected_coverage(num_fake: int, num_real: int, neighbours: int = 5) -> float:
    r"""Returns the mean of coverage for two samples of one distribution, whatever that is (if it has a density).

    A ball around a real point holds no generated one if the point's k nearest among all others are real:

    .. math:: 1 - \prod_{i=1}^{k} \frac{M - i}{M + N - i}

    which for N = M is the paper's Lemma 2. With few images it is far from 1.

    Arguments:
        num_fake: The number N of generated points.
        num_real: The number M of real points.
        neighbours: The number k of neighbours that a ball reaches.
    """
    missed = 1.0
    for i in range(1, neighbours + 1):
        missed *= (num_real - i) / (num_real + num_fake - i)
    return 1.0 - missed
