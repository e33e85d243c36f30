"""The Fréchet distance, larger for a generator that repeats its training images."""

__all__ = ["MemorisationInformed"]

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.frechet import frechet_distance, frechet_influence
from lit_gen.functional.memorisation_distance import memorisation_distance, nearest_directions
from lit_gen.metrics.features import Features
from lit_gen.metrics.frechet_distance import KEPT, kept_points
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.moments import Moments, moments_of
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class MemorisationInformed(OrderedRows, GenerativeMetric):
    r"""Creates a metric for FID divided by the memorisation distance, MiFID.

    .. math:: \mathrm{MiFID} = \mathrm{FID} / m_\tau, \quad m_\tau = m \text{ if } m < \tau \text{ else } 1

    with the mean cosine distance m of generated images to the nearest training image
    (`lit_gen.functional.memorisation_distance`). FID is that of the evaluation's split; the distance m is always to the
    training split, for copies of training images do not show beside a test split.

    Beside both stand standard errors by the delta method: an image moves FID by ψ (`frechet_influence`) and m by d − m,
    d being its own distance, and so their ratio by (ψ − MiFID (d − m)) / m. They take it that other images would not
    lead across the threshold, where MiFID jumps by a factor 1/τ; else they have the limits of
    `lit_gen.metrics.FrechetDistance`.

    The threshold is the paper's, for Inception's features. Features of a classifier of the data themselves lie so close
    in direction that even real test images are below it.

    torchmetrics' MemorizationInformedFrechetInceptionDistance takes the mean over real images instead, of the nearest
    generated one: it gives this number with the two sides exchanged.

    References:
        | On Training Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale Competition
        | (Bai et al., 2021)
        | https://arxiv.org/abs/2106.03062

    Arguments:
        real: The moments of the real images' features.
        train: The features of the training images, shape [L, D].
        real_features: All the real images' features, shape [M, D]; of use if they are no more than D.
        threshold: The distance τ from which on nothing counts as memorised.
    """

    name: ClassVar[str] = "mifid"
    needs: ClassVar[frozenset[Need]] = frozenset({"moments", "train_features"})

    def __init__(
        self, real: Moments, train: Tensor, real_features: Tensor | None = None, threshold: float = 0.1
    ) -> None:
        super().__init__()
        self.real = real
        self.train_features = train
        self.real_features = kept_points(real, real_features)
        self.threshold = threshold
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the moments of the real images and the features of the training images."""
        assert reference.moments is not None and reference.train_features is not None, "the reference was built for it"
        return cls(reference.moments, reference.train_features, reference.features)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``mifid`` ≥ 0, 0 being best, ``memorisation_distance`` in [0, 1], and their standard errors."""
        fake = self.ordered()
        mean, covariance, _ = self.real.to(fake.device)
        of_real = None if self.real_features is None else self.real_features.to(fake.device)
        first = moments_of(fake)
        fid = frechet_distance(first.mean, first.covariance, mean, covariance, fake, of_real)
        nearest = nearest_directions(fake, self.train_features.to(fake.device))
        m = memorisation_distance(nearest)
        memorised = bool(m < self.threshold)
        # The paper's code adds 1e-14, so that exact copies are divided by something.
        penalty = m + 1e-14 if memorised else torch.ones_like(m)
        mifid = fid / penalty
        moved = (nearest - m).nan_to_num()
        given = kept_points(first, fake)
        psi = frechet_influence(fake[:KEPT], first.mean, first.covariance, mean, covariance, given, of_real)
        psi = (psi - mifid * moved[:KEPT] if memorised else psi) / penalty
        root = len(fake) ** 0.5
        return {
            "mifid": mifid,
            "mifid_std": psi.std() / root,
            "memorisation_distance": m,
            "memorisation_distance_std": moved.std() / root,
        }
