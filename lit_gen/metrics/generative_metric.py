"""What the evaluator asks of a metric, so that one pass over the images feeds them all."""

__all__ = ["GenerativeMetric", "Need"]

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from torch import Tensor
from typing_extensions import Self

from lit_gen.metrics.features import Features
from lit_gen.metrics.metric import Metric
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference

Need: TypeAlias = Literal["moments", "features", "labels", "train_features", "logits"]


class GenerativeMetric(Metric):
    """Compares generated images with fixed statistics of real ones, by what an extractor made of both.

    A metric sees features, never images. It takes them in any order and in any share per process: sums are added up and
    rows are gathered and put in the order of their index, so that the number of processes does not show in the score.
    """

    higher_is_better: bool | None = False
    name: ClassVar[str]
    """The name by which a metric is asked for, such as ``"kid"``."""
    needs: ClassVar[frozenset[Need]]
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
