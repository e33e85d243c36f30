"""Whether images show the classes that they were drawn of."""

__all__ = ["ClassAccuracy"]

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import Self

from lit_gen.errors import UserError
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class ClassAccuracy(OrderedRows, GenerativeMetric):
    """Creates a metric for the share of generated images that a classifier of the data takes for their class.

    It looks at no real image; what the classifier makes of those is the protocol's ``extractor_accuracy``. Guidance may
    well bring it above that, at the cost of variety: read it beside FID.

    References:
        | Conditional Image Synthesis with Auxiliary Classifier GANs (Odena, Olah & Shlens, 2017), section 4.2
        | https://arxiv.org/abs/1610.09585

    Arguments:
        num_classes: The number of the data's classes K.
    """

    higher_is_better = True
    name: ClassVar[str] = "class_accuracy"
    needs: ClassVar[frozenset[Need]] = frozenset({"logits", "labels"})

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the data's classes."""
        return cls(len(reference.class_names))

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose logits are of shape [N, K] and whose classes and index are [N].

        Raises:
            UserError: If the images' classes are not known.
        """
        logits, label = features.logits, features.label
        if label is None:
            raise UserError("class_accuracy needs to know the class of every generated image, and is not told")
        assert logits is not None and logits.shape[1] == self.num_classes, "the evaluator has looked at that"
        self.append((logits.argmax(dim=1) == label.to(logits.device)).double()[:, None], index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``class_accuracy_mean`` in [0, 1] and its standard error ``class_accuracy_std``."""
        right = self.ordered()
        mean = right.mean()
        return {"class_accuracy_mean": mean, "class_accuracy_std": (mean * (1 - mean) / len(right)).sqrt()}
