r"""Precision and recall of generated points, by balls around points that stand for each distribution's manifold.

Around each point of a sample lies a ball that just reaches its k-th nearest neighbour in the same sample; the union of
the balls is the estimate of where the distribution lives.

References:
    | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019)
    | https://arxiv.org/abs/1904.06991
"""

__all__ = ["neighbour_distances", "precision_recall"]

import torch
from torch import Tensor

_CHUNK = 2048


def neighbour_distances(x: Tensor, neighbours: int) -> Tensor:
    """Returns the distance of each point to its k-th nearest other point of the sample, float64, shape [N].

    Arguments:
        x: Points, shape [N, D], N > k.
        neighbours: The number k.
    """
    assert len(x) > neighbours, "there are fewer other points than neighbours"
    x = x.to(torch.float64)
    # The nearest is the point itself.
    return torch.cat([torch.cdist(part, x).kthvalue(neighbours + 1).values for part in x.split(_CHUNK)])


def precision_recall(fake: Tensor, real: Tensor, neighbours: int = 3) -> tuple[Tensor, Tensor]:
    """Returns the share of generated points within the real manifold, and of real points within the generated one.

    Arguments:
        fake: Features of generated images, shape [N, D].
        real: Features of real images, shape [M, D].
        neighbours: The number k of neighbours that a ball reaches; N and M must be larger.

    Returns:
        Precision and recall in [0, 1], float64 scalars; equations (1) and (2).
    """
    assert fake.ndim == real.ndim == 2 and fake.shape[1] == real.shape[1], "samples are rows of one length"
    fake, real = fake.to(torch.float64), real.to(torch.float64)
    real_radius, fake_radius = neighbour_distances(real, neighbours), neighbour_distances(fake, neighbours)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    precise = torch.zeros((), dtype=torch.float64, device=real.device)
    for part, radius in zip(fake.split(_CHUNK), fake_radius.split(_CHUNK), strict=True):
        distance = torch.cdist(part, real)
        precise += (distance <= real_radius).any(dim=1).sum()
        covered |= (distance <= radius[:, None]).any(dim=0)
    return precise / len(fake), covered.double().mean()
