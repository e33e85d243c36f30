"""Mean and covariance of features, streamed."""

__all__ = ["FeatureMoments", "MomentSums", "Moments", "moments_of"]

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_gen.metrics.distributed import gathered, sum_over_ranks
from lit_gen.metrics.features import Features
from lit_gen.metrics.metric import Metric


class Moments(NamedTuple):
    """The first two moments of N points.

    Attributes:
        mean: float64, shape [D].
        covariance: With N − 1 in the denominator, float64, shape [D, D]; None where N ≤ D points, which are less, stand
            beside it.
        num: N.
    """

    mean: Tensor
    covariance: Tensor | None
    num: int

    def to(self, device: torch.device) -> "Moments":
        """Returns the moments on a device."""
        covariance = None if self.covariance is None else self.covariance.to(device)
        return Moments(self.mean.to(device), covariance, self.num)


def moments_of(points: Tensor) -> Moments:
    """Returns the moments of points [N, D] that are all there; without the covariance if N ≤ D.

    Raises:
        ValueError: If there are fewer than two.
    """
    if len(points) < 2:
        raise ValueError(f"a covariance needs at least 2 images, not {len(points)}")
    # In parts: torch would make a copy of all points in float64.
    mean = torch.stack([part.sum(dim=0, dtype=torch.float64) for part in points.split(128)]).sum(dim=0) / len(points)
    if len(points) <= points.shape[1]:
        return Moments(mean, None, len(points))
    centred = points.to(torch.float64) - mean
    return Moments(mean, centred.T @ centred / (len(points) - 1), len(points))


class MomentSums:
    """The sums that moments come from, as states of the `Metric` that this is mixed into.

    Sums in float64 of float32 features: no batch size, order or number of processes shows in the result beyond the last
    few of sixteen digits. A process that has seen nothing holds no sum of products, D² numbers, but none of them.
    """

    count: Tensor
    total: Tensor
    outer: list[Tensor]

    def add_sums(self: Any, num_features: int) -> None:
        """Registers the states for D features."""
        self.add_state("count", torch.zeros((), dtype=torch.int64))
        self.add_state("total", torch.zeros(num_features, dtype=torch.float64))
        self.add_state("outer")

    def accumulate(self, features: Tensor) -> None:
        """Adds points of shape [N, D]."""
        points = features.detach().to(torch.float64)
        if not self.outer:
            self.outer.append(points.new_empty(0, points.shape[1], points.shape[1]))
        if not len(points):
            return
        if not len(self.outer[0]):
            self.outer[0] = points.new_zeros(1, points.shape[1], points.shape[1])
        self.count += len(points)
        self.total += points.sum(dim=0)
        self.outer[0][0].addmm_(points.T, points)

    def moments(self, also: Tensor | None = None) -> Moments:
        """Returns the moments of all points of all processes, and of others of shape [N, D] that were not added.

        Raises:
            ValueError: If there are fewer than two.
        """
        points = self.total.new_empty(0, len(self.total)) if also is None else also.to(torch.float64)
        count = sum_over_ranks(int(self.count)) + len(points)
        if count < 2:
            raise ValueError(f"a covariance needs at least 2 images, not {count}")
        total = torch.cat(gathered([self.total[None]])).sum(dim=0)
        mean = (total + points.sum(dim=0)) / count
        covariance = points.T @ points
        for part in gathered(self.outer):
            for outer in part:
                covariance += outer
        return Moments(mean, covariance.addr_(mean, mean, alpha=-count).div_(count - 1), count)


class FeatureMoments(MomentSums, Metric):
    """Creates a metric that streams the mean and the covariance of features.

    Arguments:
        num_features: The number of features D.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.add_sums(num_features)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N images, whose features are of shape [N, D]; their order does not matter."""
        self.accumulate(features.features)

    def compute(self) -> Moments:
        """Returns the moments of all images on all processes."""
        return self.moments()
