"""Mean and covariance of features, streamed."""

__all__ = ["FeatureMoments", "MomentSums", "Moments", "moments_of"]

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_gen.metrics.features import Features


class Moments(NamedTuple):
    """The first two moments of N points.

    Attributes:
        mean: float64, shape [D].
        covariance: With N − 1 in the denominator, float64, shape [D, D].
        num: N.
    """

    mean: Tensor
    covariance: Tensor
    num: int


def moments_of(points: Tensor) -> Moments:
    """Returns the moments of points [N, D] that are all there."""
    x = points.to(torch.float64)
    mean = x.mean(dim=0)
    centred = x - mean
    return Moments(mean, centred.T @ centred / (len(x) - 1), len(x))


class MomentSums:
    """The sums that moments come from, as states of the torchmetrics Metric that this is mixed into.

    Sums in float64 of float32 features: no batch size, order or number of processes shows in the result beyond the last
    few of sixteen digits.
    """

    count: Tensor
    total: Tensor
    outer: Tensor

    def add_sums(self: Any, num_features: int) -> None:
        """Registers the states for D features."""
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(num_features, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("outer", torch.zeros(num_features, num_features, dtype=torch.float64), dist_reduce_fx="sum")

    def accumulate(self, features: Tensor) -> None:
        """Adds points of shape [N, D]."""
        points = features.to(torch.float64)
        self.count += len(points)
        self.total += points.sum(dim=0)
        self.outer.addmm_(points.T, points)

    def moments(self) -> Moments:
        """Returns the moments of all points.

        Raises:
            ValueError: If there are fewer than two.
        """
        count = int(self.count)
        if count < 2:
            raise ValueError(f"a covariance needs at least 2 images, not {count}")
        mean = self.total / count
        covariance = (self.outer - count * torch.outer(mean, mean)) / (count - 1)
        return Moments(mean, covariance, count)


class FeatureMoments(MomentSums, Metric):
    """Creates a metric that streams the mean and the covariance of features.

    Arguments:
        num_features: The number of features D.
        kwargs: Passed on to torchmetrics.
    """

    full_state_update = False

    def __init__(self, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_sums(num_features)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N images, whose features are of shape [N, D]; their order does not matter."""
        self.accumulate(features.features)

    def compute(self) -> Moments:
        """Returns the moments of all images on all processes."""
        return self.moments()
