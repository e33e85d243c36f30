"""Scores what a model makes of each image of a split: pairs of images, and likelihoods."""

__all__ = ["IMAGE_METRICS", "Answer", "ImageEvaluator"]

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lit_gen import __version__
from lit_gen.contracts import Batch, ImageData, Shape
from lit_gen.errors import UserError
from lit_gen.functional.bits_per_dim import bits_per_dim
from lit_gen.metrics.distributed import sum_over_ranks
from lit_gen.metrics.image_protocol import ImageProtocol
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.image_scores import ImageScores
from lit_gen.metrics.metric_names import metric_names
from lit_gen.metrics.paired_metric import PairedMetric
from lit_gen.metrics.perceptual_similarity import PerceptualSimilarity
from lit_gen.metrics.pixel_metrics import MeanAbsoluteError, PeakSignalNoiseRatio, StructuralSimilarity
from lit_gen.metrics.split_share import split_share

PAIRED: dict[str, type[PairedMetric]] = {
    metric.name: metric
    for metric in (PeakSignalNoiseRatio, StructuralSimilarity, MeanAbsoluteError, PerceptualSimilarity)
}
LIKELIHOOD = ("bpd", "nll")
IMAGE_METRICS = (*PAIRED, *LIKELIHOOD)
"""The names of the metrics of single images."""


class Answer(NamedTuple):
    """What a model made of N images of a split.

    Attributes:
        place: Their places in the split, int64 [N].
        output: What they were turned into, uint8 [N, C, H, W]; None if no pairs are compared.
        target: What that should be, of the same shape and type.
        log_prob: Their log-probability in nats, [N], averaged over draws; None if no likelihood is asked for.
    """

    place: Tensor
    output: Tensor | None = None
    target: Tensor | None = None
    log_prob: Tensor | None = None


class _Prepared(NamedTuple):
    """What `ImageEvaluator.prepare` leaves for `ImageEvaluator.evaluate`."""

    data: ImageData
    num: int
    protocols: dict[tuple[str, ...], ImageProtocol]
    device: torch.device
    seconds: float


class ImageEvaluator:
    """Creates an evaluator of what a model makes of each image of a split.

    Every image counts once, whatever the batches and the number of processes, and results hold the mean over images and
    its standard error. `Evaluator` scores sets of images; this one scores images.

    .. code-block:: python

        evaluator.prepare(data, device)
        results = evaluator.evaluate((answer(place, batch) for place, batch in evaluator.batches()), "ema")

    Arguments:
        metrics: The names of the metrics: ``psnr``, ``ssim``, ``l1`` and ``lpips`` of translations or reconstructions,
            ``bpd`` (bits per dimension) and ``nll`` (nats per image) of a likelihood.
        split: The split whose images are scored: ``train``, ``val`` or ``test``.
        num_real: How many of the split's images are taken, evenly spaced; all by default.
        batch_size: The number of images that the model sees at once.
        seed: The seed of what the model draws.
        num_draws: How often a likelihood is drawn and averaged, for models whose bound is random.
        lpips_network: The network of LPIPS: ``vgg``, ``alex`` or ``squeeze``.
        lpips_weights_path: A file with torchvision's weights of it; looked for and downloaded by default.

    Raises:
        UserError: If a metric is unknown or a number makes no sense.
    """

    def __init__(
        self,
        metrics: Sequence[str] | str = ("psnr", "ssim", "l1"),
        split: str = "test",
        num_real: int | None = None,
        batch_size: int = 128,
        seed: int = 0,
        num_draws: int = 1,
        lpips_network: Literal["vgg", "alex", "squeeze"] = "vgg",
        lpips_weights_path: str | None = None,
    ) -> None:
        self.metrics = metric_names(metrics, IMAGE_METRICS)
        for name, number in {"batch_size": batch_size, "num_draws": num_draws}.items():
            if number < 1:
                raise UserError(f"{name} is {number}, but must be at least 1")
        self.compares = tuple(name for name in self.metrics if name in PAIRED)
        self.weighs = tuple(name for name in self.metrics if name in LIKELIHOOD)
        self.split, self.num_real, self.batch_size = split, num_real, batch_size
        self.seed, self.num_draws = seed, num_draws
        lpips = PerceptualSimilarity(lpips_network, lpips_weights_path)
        pixels = (PeakSignalNoiseRatio(), StructuralSimilarity(), MeanAbsoluteError())
        self._paired: dict[str, PairedMetric] = {metric.name: metric for metric in (*pixels, lpips)}
        self.task: Literal["translation", "reconstruction"] = "reconstruction"
        self._prepared: _Prepared | None = None

    @torch.inference_mode(False)
    def prepare(
        self,
        data: ImageData,
        device: torch.device | str = "cpu",
        task: Literal["translation", "reconstruction"] = "reconstruction",
        likelihood: str = "8-bit images",
    ) -> None:
        """Checks that metrics and data fit, and loads networks.

        Arguments:
            data: The images, set up.
            device: Where networks run.
            task: What the pairs are that are compared.
            likelihood: What log-probabilities are of, for the protocol.

        Raises:
            UserError: If anything does not fit.
        """
        start, device = time.perf_counter(), torch.device(device)
        available = data.num_images(self.split)
        num = available if self.num_real is None else self.num_real
        if not 2 <= num <= available:
            raise UserError(
                f"the {self.split} split of {data.name} has {available} images, from which {num} cannot be taken; "
                "at least 2 are needed"
            )
        shape = (data.image_shape[0], data.image_shape[1], data.image_shape[2])
        for name in self.compares:
            self._paired[name].prepare(shape, device)
        protocols = self._protocols(data, num, shape, task, likelihood)
        self.task = task
        scores_on = torch.device("cpu") if device.type == "mps" else device  # it has no float64
        self._prepared = _Prepared(data, num, protocols, scores_on, time.perf_counter() - start)

    def batches(self) -> Iterator[tuple[Tensor, Batch]]:
        """Yields this process's share of the images that are scored: places in the split, int64 [n], and batches.

        The images are uint8, as the data yield them.
        """
        assert self._prepared is not None, "prepare comes first"
        yield from split_share(self._prepared.data, self.split, self.batch_size, self._prepared.num)

    def evaluate(self, answers: Iterable[Answer], weights: str = "ema") -> list[ImageResult]:
        """Scores images.

        Arguments:
            answers: What the model made of this process's share of the images, each once.
            weights: Which of the model's weights did, for the protocol: ``"ema"``, ``"ema:5000"`` or ``"raw"``.

        Returns:
            A result for every protocol that is asked for: of pixels, of LPIPS, of the likelihood.

        Raises:
            UserError: If images are of another size than those that they are compared with, or a log-probability is
                none.
        """
        assert self._prepared is not None, "prepare comes first"
        scores = ImageScores(self.metrics, self._prepared.device)
        start, computing, num = time.perf_counter(), 0.0, 0
        for answer in answers:
            mark = time.perf_counter()
            columns = [self._score(name, answer).to(scores.place) for name in self.metrics]
            scores.update(torch.stack(columns, dim=1), answer.place)
            num += len(answer.place)
            computing += time.perf_counter() - mark
        waiting = time.perf_counter() - start - computing
        seconds = {"prepare": self._prepared.seconds, "model": waiting, "metrics": computing}
        count = sum_over_ranks(num)
        if count != self._prepared.num:
            raise UserError(f"there were {count} images to score, but {self._prepared.num} are asked for")
        found = {name: float(value) for name, value in scores.compute().items()}
        for name in self.weighs:
            if found[f"{name}_mean"] < 0:
                raise UserError(
                    f"the mean {name} is {found[f'{name}_mean']:.5g}, and no probability of 8-bit images is above 1: "
                    "log_prob must be the image's probability, every Jacobian included, not a density"
                )
        results = []
        for names, protocol in self._prepared.protocols.items():
            own = [f"{name}_{kind}" for name in self.metrics if name in names for kind in ("mean", "std")]
            if own:
                metrics = {name: found[name] for name in own}
                results.append(ImageResult(metrics, dataclasses.replace(protocol, weights=weights), seconds))
        return results

    def _score(self, name: str, answer: Answer) -> Tensor:
        assert self._prepared is not None, "prepare comes first"
        if name in LIKELIHOOD:
            assert answer.log_prob is not None, "a likelihood is asked for"
            log_prob = answer.log_prob.to(self._prepared.device, torch.float64)
            return bits_per_dim(log_prob, self._prepared.data.image_shape) if name == "bpd" else -log_prob
        output, target = answer.output, answer.target
        assert output is not None and target is not None, "pairs are asked for"
        if output.shape != target.shape:
            raise UserError(
                f"the model's images are of shape {tuple(output.shape[1:])}, those that they are compared with of "
                f"{tuple(target.shape[1:])}"
            )
        return self._paired[name](output.to(self._prepared.device), target.to(self._prepared.device))

    def _protocols(
        self, data: ImageData, num: int, shape: Shape, task: str, likelihood: str
    ) -> dict[tuple[str, ...], ImageProtocol]:
        """Returns the protocol of each set of metrics; it does not depend on which of the set are asked for."""
        protocol = ImageProtocol(
            data=data.name,
            data_fingerprint=data.fingerprint(self.split),
            split=self.split,
            num_images=num,
            image_shape=shape,
            task=task,
            compared=f"{task} with " + ("the image of the pair" if task == "translation" else "the image itself"),
            quantisation="clamp, round to nearest, uint8",
            settings={},
            weights="",
            seed=self.seed,
            version=__version__,
        )
        pixels = tuple(name for name in PAIRED if name != "lpips")
        weighed = dataclasses.replace(
            protocol,
            image_shape=data.image_shape,
            task="likelihood",
            compared=f"log-probability of {likelihood}",
            quantisation="none",
            settings={name: {"num_draws": self.num_draws} for name in LIKELIHOOD},
        )
        compared = {
            names: dataclasses.replace(protocol, settings={name: self._paired[name].settings() for name in names})
            for names in (pixels, ("lpips",))
        }
        return {**compared, LIKELIHOOD: weighed}
