"""Scores of generated images, the feature extractors they stand on, and the protocol that makes them comparable.

An `Evaluator` sends images once through one `Extractor` and feeds all metrics with what comes out:

    images uint8 ──▶ Extractor ──▶ Features(features [N, D], logits [N, K]) ──▶ FID, KID, IS, … ──▶ EvaluationResult

Metrics see features and fixed statistics of the real images, never images. Every result carries its
`EvaluationProtocol`; scores with unlike protocols cannot be compared.

An `ImageEvaluator` scores what a model makes of each image of a split: a translation or a reconstruction by PSNR, SSIM,
L1 and LPIPS, a likelihood by bits per dimension; an `ImageResult` holds the mean over images and its standard error. A
`JudgeEvaluator` scores translations by what networks recognise in them that were trained on real images.
"""

__all__ = [
    "DensityAndCoverage",
    "EvaluationProtocol",
    "EvaluationResult",
    "Evaluator",
    "FeatureMoments",
    "FeatureRows",
    "Features",
    "FrechetByClass",
    "FrechetDistance",
    "GaussianKernelDistance",
    "ImageEvaluator",
    "ImageProtocol",
    "ImageResult",
    "InceptionScore",
    "JudgeEvaluator",
    "KernelDistance",
    "MeanDiscrepancy",
    "FrechetInfinity",
    "MemorisationInformed",
    "Moments",
    "PrecisionRecall",
    "labelled_batches",
    "split_batches",
]

from lit_gen.metrics.density_coverage import DensityAndCoverage
from lit_gen.metrics.evaluator import Evaluator
from lit_gen.metrics.features import Features
from lit_gen.metrics.frechet_by_class import FrechetByClass
from lit_gen.metrics.frechet_distance import FrechetDistance
from lit_gen.metrics.frechet_infinity import FrechetInfinity
from lit_gen.metrics.gaussian_kernel_distance import GaussianKernelDistance
from lit_gen.metrics.image_evaluator import ImageEvaluator
from lit_gen.metrics.image_protocol import ImageProtocol
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.inception_score import InceptionScore
from lit_gen.metrics.judge_evaluator import JudgeEvaluator
from lit_gen.metrics.kernel_distance import KernelDistance
from lit_gen.metrics.mean_discrepancy import MeanDiscrepancy
from lit_gen.metrics.memorisation_informed import MemorisationInformed
from lit_gen.metrics.moments import FeatureMoments, Moments
from lit_gen.metrics.precision_recall import PrecisionRecall
from lit_gen.metrics.protocol import EvaluationProtocol
from lit_gen.metrics.result import EvaluationResult
from lit_gen.metrics.rows import FeatureRows
from lit_gen.metrics.split_share import labelled_batches, split_batches
