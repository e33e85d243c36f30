"""What the evaluator asks of a metric, so that one pass over the images feeds them all."""

__all__ = ["GenerativeMetric", "Settings"]

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor
from torchmetrics import Metric
from typing_extensions import Self

from lit_gen.metrics.features import Features

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


@dataclass(frozen=True)
class Settings:
    """The numbers that metrics are computed with; they are part of the protocol.

    Attributes:
        seed: Seeds the private generators that draw subsets and shuffle.
        kid_subsets: The number of random subsets that the kernel distance is averaged over.
        kid_subset_size: The number of images of either side in each subset.
        is_splits: The number of parts that the Inception Score is averaged over.
        pr_neighbours: The neighbours that a ball reaches in precision and recall.
        dc_neighbours: The neighbours that a ball reaches in density and coverage.
        kid_rbf_sigma: The bandwidth of the kernel distance with a Gaussian kernel, in the unit of the features.
        cmmd_sigma: The bandwidth of CMMD, whose features have length 1.
    """

    seed: int = 0
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    is_splits: int = 10
    pr_neighbours: int = 3
    dc_neighbours: int = 5
    kid_rbf_sigma: float = 10.0
    cmmd_sigma: float = 10.0


class GenerativeMetric(Metric, ABC):
    """Compares generated images with fixed statistics of real ones, by what an extractor made of both.

    A metric sees features, never images. It takes them in any order and in any share per process: sums are added up and
    rows are gathered and put in the order of their index, so that the number of processes does not show in the score.
    """

    higher_is_better: bool | None = False
    is_differentiable = False
    full_state_update = False

    name: ClassVar[str]
    """The name by which a metric is asked for, such as ``"kid"``."""
    needs: ClassVar[frozenset[Literal["moments", "features", "logits"]]]
    """Which statistics of the real images, and which outputs of the extractor, the metric cannot do without."""

    @classmethod
    @abstractmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the statistics of the real images and the protocol's settings."""

    @abstractmethod
    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in generated images.

        Arguments:
            features: What the extractor made of N images.
            index: The images' places among all that are generated, int64, shape [N]; by default they follow on from
                those already seen, which is right in a single process only.
        """

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """Returns the scores by name, each a scalar in float64, the same on every process."""
