"""Scores generated images: one pass through the extractor, all metrics, one protocol."""

__all__ = ["Evaluator"]

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from lit_gen import __version__
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.cache import Cache
from lit_gen.metrics.distributed import rank, sum_over_ranks, world_size
from lit_gen.metrics.every_metric import METRICS, of_classes
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.feature_pass import FeaturePass
from lit_gen.metrics.features import Features
from lit_gen.metrics.metric_names import metric_names
from lit_gen.metrics.placed import Batches, placed
from lit_gen.metrics.precision import Precision
from lit_gen.metrics.protocol import EvaluationProtocol
from lit_gen.metrics.reference import Reference, collect_reference
from lit_gen.metrics.result import EvaluationResult
from lit_gen.metrics.settings import Settings, at_least

log = logging.getLogger(__name__)


class _Prepared(NamedTuple):
    """What `Evaluator.prepare` leaves for `Evaluator.evaluate`."""

    through: FeaturePass
    empty: Features
    reference: Reference
    settings: Settings
    protocol: EvaluationProtocol
    seconds: float


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
            with a Gaussian kernel), ``dc`` (density and coverage), ``cmmd``, ``fid_inf`` (FID for infinitely many
            images), ``fid_class`` (FID of every class), ``mifid`` (memorisation-informed FID), ``class_accuracy``
            (the share of images that show the class they were drawn of).
        num_samples: The number of generated images.
        split: The split of real images to compare with: ``train``, ``val`` or ``test``.
        num_real: How many of the split's images are taken, evenly spaced; all by default.
        batch_size: The number of images in the extractor's batches, and in those that `indices` yields.
        seed: The seed of subsets and shuffling. The caller seeds the images.
        repeats: The number of seeds, from this one on, over which `evaluate_seeds` takes mean and deviation.
        kid_subsets: The number of random subsets of the kernel distance.
        kid_subset_size: The number of images in each. It is reduced to the number of images, generated or real, where
            there are fewer; the protocol tells.
        is_splits: The number of parts of the Inception Score.
        pr_neighbours: The neighbours that a ball reaches in precision and recall.
        dc_neighbours: The neighbours that a ball reaches in density and coverage.
        kid_rbf_sigma: The bandwidth of the kernel distance with a Gaussian kernel, in the unit of the features.
        cmmd_sigma: The bandwidth of CMMD, whose features have length 1.
        fid_inf_points: The number of subset sizes that ``fid_inf`` is fitted to.
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
        repeats: int = 1,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        is_splits: int = 10,
        pr_neighbours: int = 3,
        dc_neighbours: int = 5,
        kid_rbf_sigma: float = 10.0,
        cmmd_sigma: float = 10.0,
        fid_inf_points: int = 15,
        precision: Precision = "float32",
        cache_dir: str | None = None,
    ) -> None:
        names = metric_names(metrics, METRICS)
        at_least(2, num_samples=num_samples, num_real=num_real)
        at_least(1, batch_size=batch_size, repeats=repeats)
        if not 0 <= seed <= 2**32 - repeats:
            raise UserError(f"seed is {seed}, but must be in [0, {2**32 - repeats}]")
        if precision not in get_args(Precision):
            raise UserError(f"precision is {precision!r}, but must be one of {', '.join(get_args(Precision))}")
        self.extractor = extractor
        self.metrics = names
        self.num_samples = num_samples
        self.split = split
        self.num_real = num_real
        self.batch_size = batch_size
        self.settings = Settings(
            seed=seed,
            kid_subsets=kid_subsets,
            kid_subset_size=kid_subset_size,
            is_splits=is_splits,
            pr_neighbours=pr_neighbours,
            dc_neighbours=dc_neighbours,
            kid_rbf_sigma=kid_rbf_sigma,
            cmmd_sigma=cmmd_sigma,
            fid_inf_points=fid_inf_points,
        )
        self.settings.check_generated(self.metrics, num_samples)
        self.repeats = repeats
        self.num_classes: int | None = None
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
        self.settings.check_real(self.metrics, count)
        needs = frozenset(need for name in self.metrics for need in METRICS[name].needs)
        if "labels" in needs:
            self._check_classes(data)
        if "train_features" in needs and not data.num_images("train"):
            raise UserError(f"{data.name} has no train images, which mifid needs: leave it out")
        self.extractor.prepare(data, device)
        through = FeaturePass(self.extractor, device, self.precision, self.batch_size)
        empty = through.probe(data.image_shape)
        dimensions = empty.features.shape[1]
        if "moments" in needs and self.num_samples < dimensions and rank() == 0:
            log.warning(
                "num_samples is %d, fewer than the %d features of %s: FID is far too high, compare it with that of as "
                "many images only.",
                self.num_samples,
                dimensions,
                self.extractor.name,
            )
        if "fid_inf" in self.metrics and self.num_samples < 5 * dimensions and rank() == 0:
            log.warning(
                "num_samples is %d, fewer than five for each of the %d features of %s: FID for infinitely many images "
                "is too low by more than its deviation says.",
                self.num_samples,
                dimensions,
                self.extractor.name,
            )
        if "logits" in needs and empty.logits is None:
            wanting = next(name for name in self.metrics if "logits" in METRICS[name].needs)
            raise UserError(
                f"the extractor {self.extractor.name} gives no logits, which {wanting} needs: leave out {wanting}, or "
                "take an extractor that classifies"
            )
        if "class_accuracy" in self.metrics and empty.logits is not None and empty.logits.shape[1] != self.num_classes:
            raise UserError(
                f"the extractor {self.extractor.name} does not tell the {self.num_classes} classes of {data.name} "
                "apart, which class_accuracy needs: leave it out, or take Classifier"
            )
        settings = replace(self.settings, kid_subset_size=min(self.settings.kid_subset_size, count, self.num_samples))
        if settings != self.settings and {"kid", "kid_rbf"} & set(self.metrics) and rank() == 0:
            log.info("KID subsets hold %d images: there are no more on one side.", settings.kid_subset_size)
        reference = collect_reference(data, self.split, count, through, needs, empty, self.cache)
        if "labels" in needs:
            names = tuple(data.class_names or map(str, range(self.num_classes or 0)))
            reference = replace(reference, class_names=names)
        if "train_features" in needs:
            num = data.num_images("train")
            train = collect_reference(data, "train", num, through, {"features"}, empty, self.cache)
            reference = replace(reference, train_features=train.features)
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
            labels="balanced" if "labels" in needs else "model",
            repeats=1,
            **asdict(settings),
            mifid_fingerprint=data.fingerprint("train") if "train_features" in needs else None,
            version=__version__,
        )
        for name in self.metrics:
            METRICS[name].create(reference, settings)  # complains now, not after the images are generated
        self._prepared = _Prepared(through, empty, reference, settings, protocol, time.perf_counter() - start)

    def indices(self) -> Iterator[Tensor]:
        """Yields which images this process is to generate: batches of places among all images, int64 [n].

        The batches are the same for any number of processes; each takes every so many-th of them.
        """
        batches = torch.split(torch.arange(self.num_samples), self.batch_size)
        yield from batches[rank() :: world_size()]

    def labels(self, index: Tensor) -> Tensor | None:
        """Returns the classes that images are to be generated of, by their places, int64 [n].

        They are balanced, and depend on the place alone; None if no metric looks at classes: then they are the model's
        own matter.
        """
        return None if self.num_classes is None else index % self.num_classes

    def evaluate_seeds(self, generate: Callable[[int], Batches], weights: str = "ema") -> EvaluationResult:
        """Scores the images of every seed, and returns means and standard deviations over the seeds, if several.

        Arguments:
            generate: Returns the images of a seed, as `evaluate` takes them.
            weights: As of `evaluate`.
        """
        seeds = range(self.settings.seed, self.settings.seed + self.repeats)
        results = [self.evaluate(generate(seed), weights, seed) for seed in seeds]
        return EvaluationResult.over_seeds(results) if len(results) > 1 else results[0]

    def evaluate(self, batches: Batches, weights: str = "ema", seed: int | None = None) -> EvaluationResult:
        """Scores images.

        Arguments:
            batches: This process's share of the images as pairs of places among all images, int64 [n] in
                [0, num_samples), each once, and images, uint8 [n, C, H, W]; or as triples with the images' classes,
                int64 [n], where a metric looks at them. In a single process the images alone, in their order, will do;
                what goes beyond ``num_samples`` is left out.
            weights: What generated the images, for the protocol: ``"ema"``, ``"raw"``, or ``"real"`` for real images.
            seed: The seed of images, subsets and shuffling, if it is another than that of the evaluator.

        Raises:
            UserError: If there are fewer images than ``num_samples``, or they are not of the data's shape.
        """
        assert self._prepared is not None, "prepare comes first"
        through, empty, reference, settings, protocol, seconds_real = self._prepared
        if seed is not None:
            settings, protocol = replace(settings, seed=seed), replace(protocol, seed=seed)
        metrics = [METRICS[name].create(reference, settings).to(through.statistics_device) for name in self.metrics]
        with torch.no_grad():  # for the images, too, where they are generated as they are asked for
            report = through.feed(placed(batches, protocol.image_shape, self.num_samples), empty, metrics)
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

    def _check_classes(self, data: ImageData) -> None:
        """Checks that data and numbers allow a score that looks at classes."""
        needy = of_classes(self.metrics)[0]
        if data.num_classes is None:
            raise UserError(f"the images of {data.name} have no labels, which {needy} needs: leave it out")
        if "fid_class" in self.metrics and self.num_samples < 2 * data.num_classes:
            raise UserError(
                f"num_samples is {self.num_samples}, but fid_class needs at least 2 images of each of the "
                f"{data.num_classes} classes"
            )
        self.num_classes = data.num_classes
