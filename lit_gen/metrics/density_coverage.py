"""Density and coverage of generated images, over any features."""

__all__ = ["DensityAndCoverage"]

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.density_coverage import density_coverage
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class DensityAndCoverage(OrderedRows, GenerativeMetric):
    """Creates a metric for how densely, and how widely, generated images lie around the real ones.

    Both depend on the numbers of images: coverage is far from 1 for like distributions where these are small
    (`lit_gen.functional.density_coverage.expected_coverage`). Only values of equal numbers can be compared.

    References:
        | Reliable Fidelity and Diversity Metrics for Generative Models (Naeem et al., 2020)
        | https://arxiv.org/abs/2002.09797

    Arguments:
        real: The real images' features, shape [M, D].
        neighbours: The neighbours that the ball around each real point reaches.

    Raises:
        ValueError: If there are no more real images than neighbours.
    """

    higher_is_better = True
    name: ClassVar[str] = "dc"
    needs: ClassVar[frozenset[Need]] = frozenset({"features"})

    def __init__(self, real: Tensor, neighbours: int = 5) -> None:
        super().__init__()
        if not 1 <= neighbours < len(real):
            raise ValueError(f"the number of neighbours must be in [1, {len(real) - 1}]: there are {len(real)} images")
        self.real = real
        self.neighbours = neighbours
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features of the real images."""
        assert reference.features is not None, "the reference was built for this metric"
        return cls(reference.features, settings.dc_neighbours)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``density`` ≥ 0, ``coverage`` in [0, 1] and their standard errors, ``…_std``, given the real images.

        Raises:
            ValueError: If there are fewer than two generated images.
        """
        fake = self.ordered()
        if len(fake) < 2:
            raise ValueError(f"{len(fake)} generated images are too few: the standard errors need 2")
        found = density_coverage(fake, self.real.to(fake.device), self.neighbours)
        names = ("density", "density_std", "coverage", "coverage_std")
        return {name: getattr(found, name) for name in names}
