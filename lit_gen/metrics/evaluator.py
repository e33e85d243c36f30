"""Scores generated images: one pass through the extractor, all metrics, one protocol."""

__all__ = ["Evaluator"]

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from lit_gen import __version__
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError, nearest
from lit_gen.metrics.cache import Cache
from lit_gen.metrics.density_coverage import DensityAndCoverage
from lit_gen.metrics.distributed import rank, sum_over_ranks, world_size
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.feature_pass import FeaturePass
from lit_gen.metrics.features import Features
from lit_gen.metrics.frechet_distance import FrechetDistance
from lit_gen.metrics.gaussian_kernel_distance import GaussianKernelDistance
from lit_gen.metrics.generative_metric import GenerativeMetric, Settings
from lit_gen.metrics.inception_score import InceptionScore
from lit_gen.metrics.kernel_distance import KernelDistance
from lit_gen.metrics.mean_discrepancy import MeanDiscrepancy
from lit_gen.metrics.precision import Precision
from lit_gen.metrics.precision_recall import PrecisionRecall
from lit_gen.metrics.protocol import EvaluationProtocol
from lit_gen.metrics.reference import Reference, collect_reference
from lit_gen.metrics.result import EvaluationResult

log = logging.getLogger(__name__)

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
    )
}


class _Prepared(NamedTuple):
    """What `Evaluator.prepare` leaves for `Evaluator.evaluate`."""

    through: FeaturePass
    empty: Features
    reference: Reference
    settings: Settings
    protocol: EvaluationProtocol
    seconds: float


def _at_least(least: int, **numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UserError(f"{name} is {number}, but must be at least {least}")


class Evaluator:
    """Creates an evaluator of generated images against a split of real ones.

    `prepare` checks everything that can be checked and gets the statistics of the real images, so that nothing is
    generated in vain; `evaluate` may then be called any number of times. Neither touches the global random number
    generators. In several processes every one calls both, and each feeds its own share, which `indices` tells it:

    .. code-block:: python

        evaluator.prepare(data, device)
        result = evaluator.evaluate(((index, generate(index)) for index in evaluator.indices()), weights="ema")

    Arguments:
        extractor: What features are computed by.
        metrics: The names of the metrics: ``fid``, ``is``, ``kid``, ``pr`` (precision and recall), ``kid_rbf`` (KID
            with a Gaussian kernel), ``dc`` (density and coverage), ``cmmd``.
        num_samples: The number of generated images.
        split: The split of real images to compare with: ``train``, ``val`` or ``test``.
        num_real: How many of the split's images are taken, evenly spaced; all by default.
        batch_size: The number of images in the extractor's batches, and in those that `indices` yields.
        seed: The seed of subsets and shuffling. The caller seeds the images.
        kid_subsets: The number of random subsets of the kernel distance.
        kid_subset_size: The number of images in each. It is reduced to the number of images, generated or real, where
            there are fewer; the protocol tells.
        is_splits: The number of parts of the Inception Score.
        pr_neighbours: The neighbours that a ball reaches in precision and recall.
        dc_neighbours: The neighbours that a ball reaches in density and coverage.
        kid_rbf_sigma: The bandwidth of the kernel distance with a Gaussian kernel, in the unit of the features.
        cmmd_sigma: The bandwidth of CMMD, whose features have length 1.
        precision: The arithmetic of the features: ``float32``, or ``bfloat16`` for speed.
        cache_dir: Where statistics of real images are kept; by default ``LIT_GEN_CACHE`` or ``~/.cache/lit_gen``.

    Raises:
        UserError: If a metric is unknown or a number makes no sense.
    """

    def __init__(
        self,
        extractor: Extractor,
        metrics: Sequence[str] | str = ("fid", "is", "kid"),
        num_samples: int = 10_000,
        split: str = "test",
        num_real: int | None = None,
        batch_size: int = 128,
        seed: int = 0,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        is_splits: int = 10,
        pr_neighbours: int = 3,
        dc_neighbours: int = 5,
        kid_rbf_sigma: float = 10.0,
        cmmd_sigma: float = 10.0,
        precision: Precision = "float32",
        cache_dir: str | None = None,
    ) -> None:
        names = [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else list(metrics)
        for name in names:
            if name not in METRICS:
                hint = nearest(name, METRICS)
                raise UserError(f"there is no metric {name!r} among {', '.join(METRICS)}{hint}")
        if not names:
            raise UserError(f"no metric is asked for; the metrics are {', '.join(METRICS)}")
        _at_least(2, num_samples=num_samples, num_real=num_real, kid_subset_size=kid_subset_size)
        _at_least(1, batch_size=batch_size, kid_subsets=kid_subsets, is_splits=is_splits)
        _at_least(1, pr_neighbours=pr_neighbours, dc_neighbours=dc_neighbours)
        for name, sigma in {"kid_rbf_sigma": kid_rbf_sigma, "cmmd_sigma": cmmd_sigma}.items():
            if not 0.0 < sigma < float("inf"):
                raise UserError(f"{name} is {sigma}, but must be a positive number")
        if "is" in names and num_samples < is_splits:
            raise UserError(f"num_samples is {num_samples}, too few to be split into is_splits={is_splits} parts")
        if "pr" in names and num_samples <= pr_neighbours:
            raise UserError(f"num_samples is {num_samples}, too few for pr_neighbours={pr_neighbours}")
        if not 0 <= seed < 2**32:
            raise UserError(f"seed is {seed}, but must be in [0, {2**32 - 1}]")
        if precision not in get_args(Precision):
            raise UserError(f"precision is {precision!r}, but must be one of {', '.join(get_args(Precision))}")
        self.extractor = extractor
        self.metrics = tuple(dict.fromkeys(names))
        self.num_samples = num_samples
        self.split = split
        self.num_real = num_real
        self.batch_size = batch_size
        self.settings = Settings(
            seed, kid_subsets, kid_subset_size, is_splits, pr_neighbours, dc_neighbours, kid_rbf_sigma, cmmd_sigma
        )
        self.precision: Precision = precision
        self.cache = Cache(cache_dir)
        self._prepared: _Prepared | None = None

    @torch.inference_mode(False)  # what is prepared inside a validation loop must serve outside it, too
    def prepare(self, data: ImageData, device: torch.device | str = "cpu") -> None:
        """Prepares the extractor, checks that metrics, extractor and data fit, and gets the real statistics.

        Arguments:
            data: The real images, set up.
            device: Where the extractor runs.

        Raises:
            UserError: If anything does not fit.
        """
        start, device = time.perf_counter(), torch.device(device)
        available = data.num_images(self.split)
        count = available if self.num_real is None else self.num_real
        if not 2 <= count <= available:
            raise UserError(
                f"the {self.split} split of {data.name} has {available} images, from which {count} cannot be taken; "
                "at least 2 are needed"
            )
        if "pr" in self.metrics and count <= self.settings.pr_neighbours:
            raise UserError(f"{count} real images are too few for pr_neighbours={self.settings.pr_neighbours}")
        if "dc" in self.metrics and count <= self.settings.dc_neighbours:
            raise UserError(f"{count} real images are too few for dc_neighbours={self.settings.dc_neighbours}")
        self.extractor.prepare(data, device)
        through = FeaturePass(self.extractor, device, self.precision, self.batch_size)
        empty = through.probe(data.image_shape)
        needs = frozenset(need for name in self.metrics for need in METRICS[name].needs)
        if "logits" in needs and empty.logits is None:
            raise UserError(
                f"the extractor {self.extractor.name} gives no logits, which 'is' needs: leave out 'is', or take an "
                "extractor that classifies"
            )
        settings = replace(self.settings, kid_subset_size=min(self.settings.kid_subset_size, count, self.num_samples))
        if settings != self.settings and {"kid", "kid_rbf"} & set(self.metrics) and rank() == 0:
            log.info("KID subsets hold %d images: there are no more on one side.", settings.kid_subset_size)
        reference = collect_reference(data, self.split, count, through, needs, empty, self.cache)
        description = self.extractor.describe()
        protocol = EvaluationProtocol(
            data=data.name,
            data_fingerprint=data.fingerprint(self.split),
            split=self.split,
            num_real=count,
            num_samples=self.num_samples,
            image_shape=data.image_shape,
            resize=description["resize"],
            quantisation="clamp, round to nearest, uint8",
            extractor=self.extractor.name,
            extractor_hash=description["sha256"],
            extractor_accuracy=description.get("accuracy"),
            precision=self.precision,
            weights="",
            seed=settings.seed,
            kid_subsets=settings.kid_subsets,
            kid_subset_size=settings.kid_subset_size,
            is_splits=settings.is_splits,
            pr_neighbours=settings.pr_neighbours,
            dc_neighbours=settings.dc_neighbours,
            kid_rbf_sigma=settings.kid_rbf_sigma,
            cmmd_sigma=settings.cmmd_sigma,
            version=__version__,
        )
        self._prepared = _Prepared(through, empty, reference, settings, protocol, time.perf_counter() - start)

    def indices(self) -> Iterator[Tensor]:
        """Yields which images this process is to generate: batches of places among all images, int64 [n].

        The batches are the same for any number of processes; each takes every so many-th of them.
        """
        batches = torch.split(torch.arange(self.num_samples), self.batch_size)
        yield from batches[rank() :: world_size()]

    def evaluate(
        self, batches: Iterable[tuple[Tensor, Tensor]] | Iterable[Tensor], weights: str = "ema"
    ) -> EvaluationResult:
        """Scores images.

        Arguments:
            batches: This process's share of the images as pairs of places among all images, int64 [n] in
                [0, num_samples), each once, and images, uint8 [n, C, H, W]. In a single process the images alone, in
                their order, will do; what goes beyond ``num_samples`` is left out.
            weights: What generated the images, for the protocol: ``"ema"``, ``"raw"``, or ``"real"`` for real images.

        Raises:
            UserError: If there are fewer images than ``num_samples``, or they are not of the data's shape.
        """
        assert self._prepared is not None, "prepare comes first"
        through, empty, reference, settings, protocol, seconds_real = self._prepared
        metrics = [METRICS[name].create(reference, settings).to(through.statistics_device) for name in self.metrics]
        with torch.no_grad():  # for the images, too, where they are generated as they are asked for
            report = through.feed(self._placed(batches, protocol.image_shape), empty, metrics)
        start = time.perf_counter()
        count = sum_over_ranks(report.num)
        if count != self.num_samples:
            raise UserError(f"there were {count} images to score, but num_samples is {self.num_samples}")
        scores = {name: float(score) for metric in metrics for name, score in metric.compute().items()}
        seconds = {
            "real": seconds_real,
            "generate": report.waiting,
            "features": report.computing,
            "metrics": time.perf_counter() - start,
        }
        return EvaluationResult(scores, replace(protocol, weights=weights), seconds)

    def _placed(
        self, batches: Iterable[tuple[Tensor, Tensor]] | Iterable[Tensor], shape: tuple[int, int, int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields places and images, without those beyond the number that is scored."""
        start = 0
        for batch in batches:
            if isinstance(batch, Tensor):
                assert world_size() == 1, "one of several processes says which of all the images its own are"
                index, image = torch.arange(start, start + len(batch)), batch
                start += len(batch)
            else:
                index, image = batch
            if image.shape[1:] != shape:
                raise UserError(f"the images to score are of shape {tuple(image.shape[1:])}, the real ones of {shape}")
            taken = index < self.num_samples
            yield index[taken], image[taken.to(image.device)]
            if start >= self.num_samples:
                return
