"""The Kernel Inception Distance, over any features."""

__all__ = ["KernelDistance", "SubsetDiscrepancy"]

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.kernel_distance import polynomial_kernel, subset_mmds
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class SubsetDiscrepancy(OrderedRows, GenerativeMetric):
    """A squared maximum mean discrepancy between generated and real features, averaged over random subsets.

    The unbiased estimate (`lit_gen.functional.kernel_distance.unbiased_mmd`) is averaged over subsets that are drawn as
    torch-fidelity draws them, from a private generator: the same seed gives the same number there and here, and on
    every process.

    Arguments:
        real: The real images' features, shape [M, D].
        subsets: The number of subsets.
        subset_size: The number of images of either side in each subset.
        seed: Seeds the subsets.

    Raises:
        ValueError: If there are fewer real images than a subset needs.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"features"})

    def __init__(self, real: Tensor, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> None:
        super().__init__()
        if not 2 <= subset_size <= len(real):
            raise ValueError(f"a subset size between 2 and the number of real images, {len(real)}, is needed")
        self.real = real
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self.add_rows()

    @abstractmethod
    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the kernel of all pairs of rows [M, D] and [N, D], shape [M, N]."""

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``<name>_mean``, which is 0 in the mean for like distributions, and ``<name>_std`` over the subsets.

        Raises:
            ValueError: If there are fewer generated images than a subset needs.
        """
        fake = self.ordered()
        real = self.real.to(fake.device)
        if len(fake) < self.subset_size:
            raise ValueError(f"subsets of {self.subset_size} images cannot be drawn from {len(fake)}")
        # numpy's legacy generator, and fake before real in each subset, because torch-fidelity draws so.
        random = np.random.RandomState(self.seed)
        drawn = [
            [random.choice(len(points), self.subset_size, replace=False) for points in (fake, real)]
            for _ in range(self.subsets)
        ]
        of_fake, of_real = torch.from_numpy(np.array(drawn)).to(fake.device, torch.int64).unbind(1)
        value = subset_mmds(fake, real, of_fake, of_real, self.kernel)
        return {f"{self.name}_mean": value.mean(), f"{self.name}_std": value.std(correction=0)}


class KernelDistance(SubsetDiscrepancy):
    """Creates a metric for the squared discrepancy with the kernel (xᵀy / D + 1)³, KID.

    References:
        | Demystifying MMD GANs (Bińkowski et al., 2018)
        | https://arxiv.org/abs/1801.01401

    Arguments and errors: those of `SubsetDiscrepancy`.
    """

    name: ClassVar[str] = "kid"

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features of the real images."""
        assert reference.features is not None, "the reference was built for this metric"
        return cls(reference.features, settings.kid_subsets, settings.kid_subset_size, settings.seed)

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the kernel of all pairs of rows [M, D] and [N, D], shape [M, N]."""
        return polynomial_kernel(x, y)
