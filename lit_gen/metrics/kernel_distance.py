"""The Kernel Inception Distance, over any features."""

__all__ = ["KernelDistance"]

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.kernel_distance import polynomial_mmd
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Settings
from lit_gen.metrics.rows import OrderedRows

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class KernelDistance(OrderedRows, GenerativeMetric):
    """Creates a metric for the squared maximum mean discrepancy between generated and real features, KID.

    The unbiased estimate with the kernel (xᵀy / D + 1)³ (`lit_gen.functional.polynomial_mmd`) is averaged over random
    subsets. These are drawn as torch-fidelity draws them, from a private generator: the same seed gives the same number
    there and here, and on every process.

    References:
        | Demystifying MMD GANs (Bińkowski et al., 2018)
        | https://arxiv.org/abs/1801.01401

    Arguments:
        real: The real images' features, shape [M, D].
        subsets: The number of subsets.
        subset_size: The number of images of either side in each subset.
        seed: Seeds the subsets.
        kwargs: Passed on to torchmetrics.

    Raises:
        ValueError: If there are fewer real images than a subset needs.
    """

    name: ClassVar[str] = "kid"
    needs: ClassVar[frozenset[Literal["moments", "features", "logits"]]] = frozenset({"features"})

    def __init__(self, real: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 2 <= subset_size <= len(real):
            raise ValueError(f"a subset size between 2 and the number of real images, {len(real)}, is needed")
        self.real = real
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features of the real images."""
        assert reference.features is not None, "the reference was built for this metric"
        return cls(reference.features, settings.kid_subsets, settings.kid_subset_size, settings.seed)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``kid_mean``, which is 0 in the mean for like distributions, and ``kid_std`` over the subsets.

        Raises:
            ValueError: If there are fewer generated images than a subset needs.
        """
        fake = self.ordered()
        real = self.real.to(fake.device)
        if len(fake) < self.subset_size:
            raise ValueError(f"subsets of {self.subset_size} images cannot be drawn from {len(fake)}")
        # numpy's legacy generator, and fake before real, because torch-fidelity draws so.
        random = np.random.RandomState(self.seed)
        values = []
        for _ in range(self.subsets):
            x, y = (
                points[torch.from_numpy(random.choice(len(points), self.subset_size, replace=False)).to(points.device)]
                for points in (fake, real)
            )
            values.append(polynomial_mmd(x, y))
        value = torch.stack(values)
        return {"kid_mean": value.mean(), "kid_std": value.std(correction=0)}
