"""Precision and recall of generated images, over any features."""

__all__ = ["PrecisionRecall"]

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.manifold import precision_recall, share_deviation
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class PrecisionRecall(OrderedRows, GenerativeMetric):
    """Creates a metric for the share of generated images that look real, and of real ones that could be generated.

    Both depend on the numbers of images, precision on that of the real ones and recall on that of the generated ones,
    whose balls these are: only values of equal numbers can be compared
    (`lit_gen.functional.manifold.precision_recall`).

    References:
        | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019)
        | https://arxiv.org/abs/1904.06991

    Arguments:
        real: The real images' features, shape [M, D].
        neighbours: The neighbours that the ball around each point reaches.

    Raises:
        ValueError: If there are no more real images than neighbours.
    """

    higher_is_better = True
    name: ClassVar[str] = "pr"
    needs: ClassVar[frozenset[Need]] = frozenset({"features"})

    def __init__(self, real: Tensor, neighbours: int = 3) -> None:
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
        return cls(reference.features, settings.pr_neighbours)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``precision`` and ``recall`` in [0, 1] and their standard errors, ``…_std``, given the balls.

        Raises:
            ValueError: If there are no more generated images than neighbours.
        """
        fake = self.ordered()
        if len(fake) <= self.neighbours:
            raise ValueError(f"{len(fake)} generated images are too few for {self.neighbours} neighbours each")
        precision, recall = precision_recall(fake, self.real.to(fake.device), self.neighbours)
        return {
            "precision": precision,
            "precision_std": share_deviation(precision, len(fake)),
            "recall": recall,
            "recall_std": share_deviation(recall, len(self.real)),
        }
