"""The Fréchet distance of every class."""

__all__ = ["FrechetByClass"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.errors import UserError
from lit_gen.functional.frechet import frechet_distance
from lit_gen.metrics.distributed import gathered
from lit_gen.metrics.features import Features
from lit_gen.metrics.frechet_distance import standard_error
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.moments import moments_of
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class FrechetByClass(OrderedRows, GenerativeMetric):
    """Creates a metric for the FID of the generated images of each class against the real ones of that class.

    It finds what the FID of all images hides: a class that a conditional model draws badly, or as another. Every class
    has but a share of the images, so that its bias is larger than that of the FID of all; classes of one evaluation are
    comparable where their numbers of images are alike, which is why the evaluator asks the model for equally many.

    References:
        | cGANs with Projection Discriminator (Miyato & Koyama, 2018), who call it intra FID
        | https://arxiv.org/abs/1802.05637

    Arguments:
        real: The real images' features, shape [M, D].
        label: Their classes, int64, shape [M].
        class_names: The classes' names in the order of their labels.

    Raises:
        UserError: If a class has fewer than two real images.
    """

    name: ClassVar[str] = "fid_class"
    needs: ClassVar[frozenset[Need]] = frozenset({"features", "labels"})
    label: list[Tensor]

    def __init__(self, real: Tensor, label: Tensor, class_names: Sequence[str]) -> None:
        super().__init__()
        self.real = real
        self.real_label = label
        self.class_names = tuple(class_names)
        _enough(label, self.class_names, "real")
        self.add_rows()
        self.add_state("label")

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features and classes of the real images."""
        assert reference.features is not None and reference.labels is not None, "the reference was built for this"
        return cls(reference.features, reference.labels, reference.class_names)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose classes and index are [N].

        Raises:
            UserError: If the images' classes are not known.
        """
        if features.label is None:
            raise UserError("fid_class needs to know the class of every generated image, and is not told")
        self.append(features.features, index)
        self.label.append(features.label.to(torch.int64))

    def compute(self) -> dict[str, Tensor]:
        """Returns ``fid_class/NAME`` of every class, their mean ``fid_class_mean``, and all their standard errors.

        Raises:
            UserError: If a class has fewer than two generated images.
        """
        fake = self.ordered()
        label = torch.cat(gathered(self.label))[torch.cat(gathered(self.index)).argsort()]
        _enough(label, self.class_names, "generated")
        real, real_label = self.real.to(fake.device), self.real_label.to(fake.device)
        distances: list[Tensor] = []
        errors: list[Tensor] = []
        scores: dict[str, Tensor] = {}
        for number, name in enumerate(self.class_names):
            x, y = fake[label == number], real[real_label == number]
            first, second = moments_of(x), moments_of(y)
            distance = frechet_distance(first.mean, first.covariance, second.mean, second.covariance, x, y)
            error = standard_error(x, first, second, x, y)
            scores |= {f"fid_class/{name}": distance, f"fid_class/{name}_std": error}
            distances.append(distance)
            errors.append(error)
        # The classes are drawn apart, so that their errors are independent.
        spread = torch.stack(errors).square().sum().sqrt() / len(errors)
        return {"fid_class_mean": torch.stack(distances).mean(), "fid_class_std": spread, **scores}


def _enough(label: Tensor, names: Sequence[str], kind: str) -> None:
    few = [name for number, name in enumerate(names) if int((label == number).sum()) < 2]
    if few:
        raise UserError(
            f"fid_class needs at least 2 {kind} images of every class, but there are fewer of {', '.join(few)}"
        )
