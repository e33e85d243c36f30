"""Scores what a model makes of real images by what networks, trained on real images, recognise in it."""

__all__ = ["TASK", "JudgeEvaluator"]

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_gen import __version__
from lit_gen.contracts import Batch, Generators, ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.cache import Cache
from lit_gen.metrics.distributed import rank
from lit_gen.metrics.image_protocol import ImageProtocol
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.judged_counts import JudgedCounts
from lit_gen.metrics.judges import JUDGES, Judge
from lit_gen.metrics.judges.judge import Counts
from lit_gen.metrics.metric_names import metric_names
from lit_gen.metrics.split_share import on_device, split_share

log = logging.getLogger(__name__)

TASK = "recognition"
"""What a protocol calls this, and scores' names end in."""
_LEAST, _TRUSTED = 8, 0.9


class _Prepared(NamedTuple):
    """What `JudgeEvaluator.prepare` leaves for `JudgeEvaluator.evaluate`."""

    data: ImageData
    num: int
    device: torch.device
    real: dict[str, dict[str, float]]
    seconds: float


class JudgeEvaluator:
    """Creates an evaluator of translations by networks that know what they should show.

    Every image counts once, whatever the batches and the number of processes. Of unpaired data there are as many images
    as the split has of the target domain, each with the next source.

    Arguments:
        metrics: The names of the judges: ``segmentation``, ``attribute_accuracy``, ``domain_accuracy``.
        split: The split whose images are translated: ``train``, ``val`` or ``test``.
        num_real: How many of the split's images are taken, evenly spaced; all by default.
        batch_size: The number of images that the model sees at once.
        seed: The seed of what the model draws, and of the attributes that are wanted.
        cache_dir: Where trained networks are kept; by default ``LIT_GEN_CACHE`` or ``~/.cache/lit_gen``.

    Raises:
        UserError: If there is no such judge or a number makes no sense.
    """

    def __init__(
        self,
        metrics: Sequence[str] | str,
        split: str = "test",
        num_real: int | None = None,
        batch_size: int = 128,
        seed: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        self.metrics = metric_names(metrics, tuple(JUDGES))
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}, but must be at least 1")
        self.split, self.num_real, self.batch_size, self.seed = split, num_real, batch_size, seed
        self._judges: list[Judge] = [JUDGES[name](Cache(cache_dir)) for name in self.metrics]
        self._prepared: _Prepared | None = None

    def misfit(self, model: Any, data: ImageData) -> str | None:
        """Says why a model or its data have nothing to judge; None if they have."""
        if data.num_images(self.split) < 2:  # of one, nobody knows how far others would lie from it
            return f"the data have {'fewer than two' if data.num_images(self.split) else 'no'} {self.split} images"
        if data.num_images("train") < 2:
            return f"there are fewer than 2 train images of {data.name} to train networks on that judge"
        if min(data.image_shape[1:]) < _LEAST:
            height, width = data.image_shape[1:]
            return f"networks that judge see images of {_LEAST}×{_LEAST} or more, but these are of {height}×{width}"
        return next((reason for judge in self._judges if (reason := judge.misfit(model, data))), None)

    @torch.inference_mode(False)
    def prepare(self, model: Any, data: ImageData, device: torch.device | str = "cpu") -> None:
        """Gets the networks, and measures what they recognise in the split's real images.

        Arguments:
            model: The model, which `misfit` has nothing against.
            data: The images, set up.
            device: Where networks run.

        Raises:
            UserError: If there are not as many images as are asked for, or nothing in them to recognise.
        """
        start, device = time.perf_counter(), torch.device(device)
        available = data.num_images(self.split)
        num = available if self.num_real is None else self.num_real
        if not 2 <= num <= available:
            raise UserError(
                f"the {self.split} split of {data.name} has {available} images, from which {num} cannot be taken; "
                "at least 2 are needed"
            )
        real: dict[str, dict[str, float]] = {}
        self._prepared = _Prepared(data, num, device, real, 0.0)
        for judge in self._judges:
            judge.prepare(model, data, device)
            found = self._count(judge, lambda place, batch, judge=judge: judge.real(batch))  # type: ignore[misc]
            real[judge.name] = {name: value for name, value in found.items() if not name.endswith("_std")}
            if not found:
                raise UserError(
                    f"there is nothing in the {self.split} split of {data.name} for {judge.name} to recognise"
                )
            worst = min(real[judge.name], key=real[judge.name].__getitem__)
            if real[judge.name][worst] < _TRUSTED and rank() == 0:
                log.warning(
                    "%s is only %.2f of real images: what the network recognises says little about others.",
                    *(worst.removesuffix("_mean"), real[judge.name][worst]),
                )
        self._prepared = self._prepared._replace(seconds=time.perf_counter() - start)

    def evaluate(
        self, model: Any, noise: Callable[[Tensor, str], Generators], weights: str = "ema"
    ) -> list[ImageResult]:
        """Lets a model translate this process's share of the images, and scores what comes out.

        Arguments:
            model: The model, on the device, without gradients.
            noise: Returns the source of randomness of images by their places in the split, int64 [N], and a purpose.
            weights: Which of the model's weights it has, for the protocol: ``"ema"``, ``"ema:5000"`` or ``"raw"``.

        Returns:
            A result for every judge.

        Raises:
            UserError: If what the model returns cannot be scored.
        """
        assert self._prepared is not None, "prepare comes first"
        results = []
        for judge in self._judges:
            start = time.perf_counter()

            def count(place: Tensor, batch: Batch, judge: Judge = judge) -> Counts:
                return judge.judge(model, batch, functools.partial(noise, place))

            found = self._count(judge, count)
            seconds = {"prepare": self._prepared.seconds, "model": time.perf_counter() - start}
            real = self._prepared.real[judge.name]
            results.append(ImageResult(found, self._protocol(judge, weights), seconds, real))
        return results

    def _count(self, judge: Judge, count: Callable[[Tensor, Batch], Counts]) -> dict[str, float]:
        """Returns the scores of what is counted in the images."""
        assert self._prepared is not None, "prepare comes first"
        data, num, device, *_ = self._prepared
        on = torch.device("cpu") if device.type == "mps" else device  # it has no float64
        counted = JudgedCounts(judge.scores, on)
        for place, batch in split_share(data, self.split, self.batch_size, num):
            counted.update(count(place, on_device(batch, device)), place)
        return {name: float(value) for name, value in counted.compute().items()}

    def _protocol(self, judge: Judge, weights: str) -> ImageProtocol:
        assert self._prepared is not None, "prepare comes first"
        data = self._prepared.data
        return ImageProtocol(
            data=data.name,
            data_fingerprint=data.fingerprint(self.split),
            split=self.split,
            num_images=self._prepared.num,
            image_shape=(data.image_shape[0], data.image_shape[1], data.image_shape[2]),
            task=TASK,
            compared=judge.compared,
            quantisation="clamp, round to nearest, uint8",
            settings={judge.name: judge.describe()},
            weights=weights,
            seed=self.seed,
            version=__version__,
        )
