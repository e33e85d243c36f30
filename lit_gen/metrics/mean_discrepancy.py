"""The maximum mean discrepancy with a Gaussian kernel between normalised features: CMMD where these are CLIP's."""

__all__ = ["MeanDiscrepancy"]

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import Self

from lit_gen.functional.kernel_distance import biased_mmd, gaussian_kernel
from lit_gen.metrics.features import Features
from lit_gen.metrics.generative_metric import GenerativeMetric, Need
from lit_gen.metrics.rows import OrderedRows
from lit_gen.metrics.settings import Settings

if TYPE_CHECKING:
    from lit_gen.metrics.reference import Reference

_SCALE = 1000.0  # the paper's, for readability


class MeanDiscrepancy(OrderedRows, GenerativeMetric):
    """Creates a metric for 1000 times the squared discrepancy between generated and real features of length 1, CMMD.

    The biased estimate over all images with the kernel exp(−‖x − y‖² / 2σ²)
    (`lit_gen.functional.kernel_distance.biased_mmd`). The paper's numbers are of CLIP's ViT-L/14 at 336 pixels: with
    another extractor, which the score's name tells, this is another metric, and σ = 10 is far above any distance
    between points of length 1, so that in either case it hardly sees more than the distance of the means. The estimate
    is biased upwards, the more the fewer the images; values for unlike numbers of images cannot be compared.

    References:
        | Rethinking FID: Towards a Better Evaluation Metric for Image Generation (Jayasumana et al., 2024)
        | https://arxiv.org/abs/2401.09603

    Arguments:
        real: The real images' features, shape [M, D].
        sigma: The bandwidth σ > 0.

    Raises:
        ValueError: If the bandwidth is not positive.
    """

    name: ClassVar[str] = "cmmd"
    needs: ClassVar[frozenset[Need]] = frozenset({"features"})

    def __init__(self, real: Tensor, sigma: float = 10.0) -> None:
        super().__init__()
        if not sigma > 0.0:
            raise ValueError(f"the bandwidth is {sigma}, and must be positive")
        self.real = real
        self.sigma = sigma
        self.add_rows()

    @classmethod
    def create(cls, reference: "Reference", settings: Settings) -> Self:
        """Creates the metric for the features of the real images."""
        assert reference.features is not None, "the reference was built for this metric"
        return cls(reference.features, settings.cmmd_sigma)

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in N generated images, whose features are of shape [N, D] and whose index is of shape [N]."""
        self.append(features.features, index)

    def compute(self) -> dict[str, Tensor]:
        """Returns ``cmmd`` ≥ 0 and ``cmmd_std``, its standard error over generated images, given the real ones.

        Raises:
            ValueError: If there are fewer than two generated images.
        """
        fake = self.ordered()
        if len(fake) < 2:
            raise ValueError(f"{len(fake)} generated images are too few: the standard error needs 2")
        fake, real = normalize(fake), normalize(self.real.to(fake.device))
        value, error = biased_mmd(fake, real, partial(gaussian_kernel, sigma=self.sigma))
        return {"cmmd": _SCALE * value, "cmmd_std": _SCALE * error}
