"""How near points lie to training points in direction."""

__all__ = ["memorisation_distance", "nearest_directions"]

import torch
from torch import Tensor


def nearest_directions(fake: Tensor, train: Tensor, block: int = 1024) -> Tensor:
    r"""Returns the cosine distance of every generated point to the nearest training point.

    .. math:: d_i = \min_j \Bigl(1 - \frac{|\langle x_i, y_j \rangle|}{\|x_i\| \|y_j\|}\Bigr)

    Arguments:
        fake: The generated points, shape [N, D].
        train: The training points, shape [L, D].
        block: The number of either that are multiplied at once.

    Returns:
        The distances in [0, 1] in float64, shape [N]; NaN for points that are all zero, which have no direction.
    """
    assert fake.ndim == train.ndim == 2 and fake.shape[1] == train.shape[1], "points are N × D and L × D"
    assert len(train), "there is a training point"
    nearest = []
    for part in fake.split(block):
        x = torch.nn.functional.normalize(part.double(), dim=1)
        # Training points without a direction stay zero: their cosine, 0, is never nearer than another.
        cosine = x.new_zeros(len(x))
        for y in train.split(block):
            cosine = torch.maximum(cosine, (x @ torch.nn.functional.normalize(y.double(), dim=1).T).abs().amax(dim=1))
        nearest.append((1.0 - cosine).clamp(min=0.0).masked_fill(~part.any(dim=1), torch.nan))
    return torch.cat(nearest)


def memorisation_distance(nearest: Tensor) -> Tensor:
    r"""Returns the mean over generated points of the cosine distance to the nearest training point.

    .. math:: m = \frac{1}{N} \sum_i d_i

    Points that are all zero have no direction and are left out.

    References:
        | On Training Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale Competition
        | (Bai et al., 2021)
        | https://arxiv.org/abs/2106.03062

    Arguments:
        nearest: The points' distances as of `nearest_directions`, shape [N].

    Returns:
        The distance in [0, 1], a scalar; 1 if no point has a direction.
    """
    return nearest.nanmean().nan_to_num(1.0)
