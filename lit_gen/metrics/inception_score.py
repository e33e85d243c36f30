"""The Inception Score, over any classifier's logits."""

__all__ = ["InceptionScore"]

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.inception_score import inception_score
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class InceptionScore(OrderedRows, GenerativeMetric):
    """Creates a metric for the Inception Score of generated images, IS.

    The images are shuffled as torch-fidelity shuffles them, from a private generator, split into parts of equal size,
    and the parts' scores (`lit_gen.functional.inception_score`) are averaged. Real images are not looked at.

    References:
        | Improved Techniques for Training GANs (Salimans et al., 2016)
        | https://arxiv.org/abs/1606.03498

    Arguments:
        splits: The number of parts.
        seed: Seeds the shuffling.
    """

    higher_is_better = True
    name: ClassVar[str] = "is"
    needs: ClassVar[frozenset[Need]] = frozenset({"logits"})

    def __init__(self, splits: int = 10, seed: int = 0) -> None:
        super().__init__()
        self.splits = splits
        self.seed = seed
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric; it needs nothing of the real images."""
        return cls(settings.is_splits, settings.seed)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose logits are of shape [N, K] and whose index is of shape [N].

        Raises:
            ValueError: If the extractor gave no logits.
        """
        if features.logits is None:
            raise ValueError("the Inception Score needs an extractor that gives logits")
        self.append(features.logits, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``is_mean`` in [1, K], K being best, and ``is_std`` over the parts.

        Raises:
            ValueError: If there are fewer images than parts.
        """
        logits = self.ordered()
        if len(logits) < self.splits:
            raise ValueError(f"{len(logits)} images cannot be split into {self.splits} parts")
        order = torch.from_numpy(np.random.RandomState(self.seed).permutation(len(logits)))
        score = inception_score(logits[order.to(logits.device)], self.splits)
        return {"is_mean": score.mean(), "is_std": score.std(correction=0)}
