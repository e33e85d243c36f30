"""The Fréchet Inception Distance, over any features."""

__all__ = ["FrechetDistance"]

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.frechet import frechet_distance
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Settings
from lit_gen.metrics.moments import Moments, MomentSums

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class FrechetDistance(MomentSums, GenerativeMetric):
    """Creates a metric for the Fréchet distance between generated and real features, FID.

    Both sides are summed up as Gaussians (`lit_gen.functional.frechet_distance`). The estimate is biased upwards, the
    more the fewer the images, so that distances for different numbers of images cannot be compared.

    References:
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

    Arguments:
        real: The moments of the real images' features.
        kwargs: Passed on to torchmetrics.
    """

    name: ClassVar[str] = "fid"
    needs: ClassVar[frozenset[Literal["moments", "features", "logits"]]] = frozenset({"moments"})

    def __init__(self, real: Moments, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.real = real
        self.add_sums(len(real.mean))

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the moments of the real images."""
        assert reference.moments is not None, "the reference was built for this metric"
        return cls(reference.moments)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D]; their order does not matter."""
        self.accumulate(features.features)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``fid`` ≥ 0; 0 is best."""
        fake, device = self.moments(), self.total.device
        mean, covariance = self.real.mean.to(device), self.real.covariance.to(device)
        return {"fid": frechet_distance(fake.mean, fake.covariance, mean, covariance)}
