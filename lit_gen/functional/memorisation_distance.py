"""How near points lie to training points in direction."""

__all__ = ["memorisation_distance"]

import torch
from torch import Tensor


def memorisation_distance(fake: Tensor, train: Tensor, block: int = 1024) -> Tensor:
    r"""Returns the mean over generated points of the cosine distance to the nearest training point.

    .. math:: m = \frac{1}{N} \sum_i \min_j \Bigl(1 - \frac{|\langle x_i, y_j \rangle|}{\|x_i\| \|y_j\|}\Bigr)

    Points that are all zero have no direction and are left out.

    References:
        | On Training Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale Competition
        | (Bai et al., 2021)
        | https://arxiv.org/abs/2106.03062

    Arguments:
        fake: The generated points, shape [N, D].
        train: The training points, shape [L, D].
        block: The number of either that are multiplied at once.

    Returns:
        The distance in [0, 1] in float64, a scalar; 1 if one side has no direction at all.
    """
    assert fake.ndim == train.ndim == 2 and fake.shape[1] == train.shape[1], "points are N × D and L × D"
    fake, train = (points[points.any(dim=1)] for points in (fake, train))
    if not len(fake) or not len(train):
        return torch.ones((), dtype=torch.float64, device=fake.device)
    nearest = []
    for x in fake.split(block):
        x = torch.nn.functional.normalize(x.double(), dim=1)
        cosines = [(x @ torch.nn.functional.normalize(y.double(), dim=1).T).abs().amax(1) for y in train.split(block)]
        nearest.append(torch.stack(cosines).amax(dim=0))
    return (1.0 - torch.cat(nearest)).clamp(min=0.0).mean()
