"""The Fréchet Inception Distance, over any features."""

__all__ = ["FrechetDistance", "kept_points", "standard_error"]

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.frechet import frechet_distance, frechet_influence
from lit_gen.metrics.distributed import sum_over_ranks
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.moments import Moments, MomentSums, moments_of
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference

KEPT = 2048
"""Of so many images, the first, features are kept: they tell the spread. Only what comes after them is summed up."""


def kept_points(moments: Moments, features: Tensor | None) -> Tensor | None:
    """Returns the features that moments are of if they are all there and no more than there are features each."""
    whole = features is not None and len(features) == moments.num <= len(moments.mean)
    return features if whole else None


def standard_error(x: Tensor, fake: Moments, real: Moments, *points: Tensor | None) -> Tensor:
    """Returns the standard error of the distance by the delta method (`frechet_influence`), a scalar.

    Arguments:
        x: Features of some or all generated images, shape [n, D].
        fake: The moments of all generated images.
        real: The moments of the real images.
        points: All features of either side, or None, as `frechet_distance` takes them.
    """
    psi = frechet_influence(x, fake.mean, fake.covariance, real.mean, real.covariance, *points)
    error: Tensor = psi.std() / fake.num**0.5
    return error


class FrechetDistance(MomentSums, OrderedRows, GenerativeMetric):
    """Creates a metric for the Fréchet distance between generated and real features, FID.

    Both sides are summed up as Gaussians (`lit_gen.functional.frechet_distance`). The estimate is biased upwards, the
    more the fewer the images, so that distances for different numbers of images cannot be compared.

    Beside it stands its standard error: how far the distance of as many other images from the same generator to the
    same real images would lie from this one. It says nothing of the bias, nor of the choice of real images; it is the
    first term of an expansion, so that it is rough where images are fewer than features, and where the generator is as
    good as perfect, whose distance has no first term.

    References:
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

    Arguments:
        real: The moments of the real images' features.
        real_features: All the real images' features, shape [M, D]; of use if they are no more than D.
    """

    name: ClassVar[str] = "fid"
    needs: ClassVar[frozenset[Need]] = frozenset({"moments"})

    def __init__(self, real: Moments, real_features: Tensor | None = None) -> None:
        super().__init__()
        self.real = real
        self.real_features = kept_points(real, real_features)
        self.add_sums(len(real.mean))
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the moments of the real images."""
        assert reference.moments is not None, "the reference was built for this metric"
        return cls(reference.moments, reference.features)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        points = features.features
        if index is None:
            index = torch.arange(len(points)) + sum(len(seen) for seen in self.index) + int(self.count)
        kept = index < KEPT
        if kept.all():  # without a copy
            self.append(points, index)
            self.accumulate(points[:0])
        else:
            self.append(points[kept.to(points.device)], index[kept])
            self.accumulate(points[~kept.to(points.device)])

    def compute(self) -> dict[str, Tensor]:
        """Returns ``fid`` ≥ 0; 0 is best; and its standard error ``fid_std``."""
        kept = self.ordered()
        fake = self.moments(kept) if sum_over_ranks(int(self.count)) else moments_of(kept)
        real = self.real.to(kept.device)
        points = kept_points(fake, kept), None if self.real_features is None else self.real_features.to(kept.device)
        distance = frechet_distance(fake.mean, fake.covariance, real.mean, real.covariance, *points)
        return {"fid": distance, "fid_std": standard_error(kept, fake, real, *points)}
