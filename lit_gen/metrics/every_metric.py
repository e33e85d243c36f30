"""Every metric of generated images by the name that it is asked for."""

__all__ = ["METRICS", "of_classes"]

from collections.abc import Iterable

from lit_gen.metrics.class_accuracy import ClassAccuracy
from lit_gen.metrics.density_coverage import DensityAndCoverage
from lit_gen.metrics.frechet_by_class import FrechetByClass
from lit_gen.metrics.frechet_distance import FrechetDistance
from lit_gen.metrics.frechet_infinity import FrechetInfinity
from lit_gen.metrics.gaussian_kernel_distance import GaussianKernelDistance
from lit_gen.metrics.generative_metric import GenerativeMetric
from lit_gen.metrics.inception_score import InceptionScore
from lit_gen.metrics.kernel_distance import KernelDistance
from lit_gen.metrics.mean_discrepancy import MeanDiscrepancy
from lit_gen.metrics.memorisation_informed import MemorisationInformed
from lit_gen.metrics.precision_recall import PrecisionRecall

METRICS: dict[str, type[GenerativeMetric]] = {
    metric.name: metric
    for metric in (
        FrechetDistance,
        InceptionScore,
        KernelDistance,
        PrecisionRecall,
        GaussianKernelDistance,
        DensityAndCoverage,
        MeanDiscrepancy,
        FrechetInfinity,
        FrechetByClass,
        MemorisationInformed,
        ClassAccuracy,
    )
}


def of_classes(names: Iterable[str]) -> list[str]:
    """Lists those metrics, of all that are asked for, that look at the classes of generated images."""
    return [name for name in names if name in METRICS and "labels" in METRICS[name].needs]
