r"""Precision and recall of generated points, by balls around points that stand for each distribution's manifold.

Around each point of a sample lies a ball that just reaches its k-th nearest neighbour in the same sample; the union of
the balls is the estimate of where the distribution lives. Balls are closed: what lies on the sphere is within.

References:
    | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019)
    | https://arxiv.org/abs/1904.06991
"""

__all__ = ["precision_recall", "share_deviation"]

import torch
from torch import Tensor

from lit_gen.functional.distances import tiles
from lit_gen.functional.neighbours import neighbour_distances


def precision_recall(fake: Tensor, real: Tensor, neighbours: int = 3) -> tuple[Tensor, Tensor]:
    """Returns the share of generated points within the real manifold, and of real points within the generated one.

    Memory does not grow with the number of pairs: distances are computed in blocks.

    Arguments:
        fake: Features of generated images, shape [N, D].
        real: Features of real images, shape [M, D].
        neighbours: The number k of neighbours that a ball reaches; N and M must be larger.

    Returns:
        Precision and recall in [0, 1], float64 scalars; equations (1) and (2).
    """
    real_radius, fake_radius = neighbour_distances(real, neighbours), neighbour_distances(fake, neighbours)
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for tile in tiles(fake, real):
        precise[tile.rows] |= tile.within(real_radius[tile.columns]).any(dim=1)
        covered[tile.columns] |= tile.within(fake_radius[tile.rows, None]).any(dim=0)
    return precise.double().mean(), covered.double().mean()


def share_deviation(share: Tensor, num: int) -> Tensor:
    r"""Returns the standard error of a share of independent images, :math:`\sqrt{p (1 - p) / N}`.

    For precision (over generated images) and recall (over real ones) it holds given the balls: what it leaves out is
    that other balls, around other images, would give other values. Where the share is 0 or 1 it is 0, and tells
    nothing; the share may then still be wrong by about 3 / N.

    Arguments:
        share: The share p in [0, 1].
        num: The number N of images it is taken over.
    """
    return (share * (1.0 - share) / num).sqrt()
