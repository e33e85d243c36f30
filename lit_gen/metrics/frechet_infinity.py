"""The Fréchet distance extrapolated to infinitely many generated images."""

__all__ = ["FrechetInfinity"]

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.frechet import frechet_distance, frechet_influence
from lit_gen.metrics.features import Features
from lit_gen.metrics.frechet_distance import KEPT, kept_points
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.moments import Moments, moments_of
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class FrechetInfinity(OrderedRows, GenerativeMetric):
    r"""Creates a metric for the FID that infinitely many generated images would have.

    The bias of FID is nearly proportional to 1/N. A line is fitted to the distances of random subsets, whose sizes run
    evenly up to all the images, against 1/N; where it meets 1/N = 0 is the estimate
    :math:`\sum_j w_j \mathrm{FID}_{n_j}`. The bias that comes from the number of real images stays.

    The paper's smallest subset is a tenth of 50,000 images, about 2.5 per feature. Where a tenth is fewer than that,
    the smallest is larger, up to half of the images: the bias of subsets with hardly more images than features is no
    line, which would make the estimate too low. With fewer than some five images per feature it stays too low, even
    negative, and the standard error does not tell. There are as many distances to compute as sizes.

    Its standard error is that of the weighted sum, with each image's influence on every subset that it is in, as of
    `lit_gen.metrics.FrechetDistance`.

    References:
        | Effectively Unbiased FID and Inception Score and where to find them (Chong & Forsyth, 2020)
        | https://arxiv.org/abs/1911.07023

    Arguments:
        real: The moments of the real images' features.
        real_features: All the real images' features, shape [M, D]; of use if they are no more than D.
        points: The number of subset sizes.
        seed: Seeds the subsets.
    """

    name: ClassVar[str] = "fid_inf"
    needs: ClassVar[frozenset[Need]] = frozenset({"moments"})

    def __init__(self, real: Moments, real_features: Tensor | None = None, points: int = 15, seed: int = 0) -> None:
        super().__init__()
        if points < 2:
            raise ValueError(f"a line through {points} points is none: there must be at least 2")
        self.real = real
        self.real_features = kept_points(real, real_features)
        self.points = points
        self.seed = seed
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the moments of the real images."""
        assert reference.moments is not None, "the reference was built for this metric"
        return cls(reference.moments, reference.features, settings.fid_inf_points, settings.seed)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``fid_inf``, which may be a little below 0, and its standard error ``fid_inf_std``.

        Raises:
            ValueError: If there are too few images for different sizes of at least two.
        """
        fake = self.ordered()
        sizes = _subset_sizes(len(fake), fake.shape[1], self.points)
        if len(fake) < 20 or len(set(sizes)) < self.points:
            raise ValueError(f"{len(fake)} images are too few for subsets of {self.points} sizes")
        mean, covariance, _ = self.real.to(fake.device)
        of_real = None if self.real_features is None else self.real_features.to(fake.device)
        random = np.random.RandomState(self.seed)
        distances, shares, weight = [], torch.zeros(len(fake), dtype=torch.float64), _intercept_weights(sizes)
        for size, w in zip(sizes, weight, strict=True):
            chosen = torch.from_numpy(random.choice(len(fake), size, replace=False))
            x = fake[chosen.to(fake.device)]
            part = moments_of(x)
            distances.append(frechet_distance(part.mean, part.covariance, mean, covariance, x, of_real))
            shares[chosen] += w / size
        whole = moments_of(fake)
        given = kept_points(whole, fake)
        psi = frechet_influence(fake[:KEPT], whole.mean, whole.covariance, mean, covariance, given, of_real)
        distance = torch.stack(distances)
        value = (torch.from_numpy(weight).to(distance.device) * distance).sum()
        return {"fid_inf": value, "fid_inf_std": psi.std() * shares.square().sum().sqrt().to(psi.device)}


def _subset_sizes(num: int, dimensions: int, points: int) -> "np.ndarray[Any, Any]":
    """Returns sizes that run evenly to all images, from a tenth of them, or from 2.5 per feature if those are more."""
    smallest = max(2, num // 10, min(num // 2, 5 * dimensions // 2))
    return np.linspace(smallest, num, points).astype(int)


def _intercept_weights(sizes: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Returns w with Σ w_j y_j equal to the intercept of the least-squares line through (1/n_j, y_j)."""
    design = np.stack([np.ones(len(sizes)), 1.0 / sizes], axis=1)
    weights: np.ndarray[Any, Any] = np.linalg.pinv(design)[0]
    return weights
