"""The Kernel Inception Distance with a Gaussian kernel, over any features."""

__all__ = ["GaussianKernelDistance"]

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from typing_extensions import Self

from lit_gen.functional.kernel_distance import gaussian_kernel
from lit_gen.metrics.kernel_distance import SubsetDiscrepancy
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference


class GaussianKernelDistance(SubsetDiscrepancy):
    """Creates a metric for the squared discrepancy with the kernel exp(−‖x − y‖² / 2σ²), the RBF form of KID.

    A Gaussian kernel tells any two distributions apart, given images enough, where the polynomial one of KID sees
    moments up to the third; but it has a bandwidth, which is in the unit of the features: values of unlike extractors
    or bandwidths cannot be compared, and a bandwidth far from the features' distances sees nothing. The default is
    torch-fidelity's.

    References:
        | A Kernel Two-Sample Test (Gretton et al., 2012)
        | Demystifying MMD GANs (Bińkowski et al., 2018)
        | https://arxiv.org/abs/1801.01401

    Arguments:
        real: The real images' features, shape [M, D].
        sigma: The bandwidth σ > 0.
        subsets: The number of subsets.
        subset_size: The number of images of either side in each subset.
        seed: Seeds the subsets.

    Raises:
        ValueError: If there are fewer real images than a subset needs, or the bandwidth is not positive.
    """

    name: ClassVar[str] = "kid_rbf"

    def __init__(
        self, real: Tensor, sigma: float = 10.0, subsets: int = 100, subset_size: int = 1000, seed: int = 0
    ) -> None:
        super().__init__(real, subsets, subset_size, seed)
        if not sigma > 0.0:
            raise ValueError(f"the bandwidth is {sigma}, and must be positive")
        self.sigma = sigma

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features of the real images."""
        assert reference.features is not None, "the reference was built for this metric"
        drawn = (settings.kid_subsets, settings.kid_subset_size, settings.seed)
        return cls(reference.features, settings.kid_rbf_sigma, *drawn)

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the kernel of all pairs of rows [M, D] and [N, D], shape [M, N]."""
        return gaussian_kernel(x, y, self.sigma)
