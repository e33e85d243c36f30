"""One pass over images that feeds every metric."""

__all__ = ["FeaturePass", "PassReport"]

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.features import Features
from lit_gen.metrics.precision import Precision, feature_arithmetic


class Consumer(Protocol):
    """Whatever takes in features: the metrics, and the statistics of real images."""

    def update(self, features: Features, index: Tensor | None = None) -> None:
        """Takes in the features of N images and their places among all images, int64 [N]."""


class PassReport(NamedTuple):
    """How many images this process saw, and the seconds it waited for them and computed their features."""

    num: int
    waiting: float
    computing: float


class FeaturePass:
    """Creates the pass from batches of images through an extractor to any number of consumers.

    Arguments:
        extractor: The extractor, prepared.
        device: Where the extractor runs.
        precision: The arithmetic of the features.
        batch_size: The most images that the extractor sees at once.
    """

    def __init__(self, extractor: Extractor, device: torch.device, precision: Precision, batch_size: int) -> None:
        self.extractor = extractor
        self.device = device
        self.precision = precision
        self.batch_size = batch_size

    @property
    def statistics_device(self) -> torch.device:
        """Where statistics are kept: with the extractor, or on the CPU where the device has no float64."""
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def features(self, image: Tensor) -> Features:
        """Returns the features, in float32, of images uint8 [N, C, H, W] from any device."""
        assert image.dtype == torch.uint8 and image.ndim == 4, "images are uint8 [N, C, H, W]"
        with feature_arithmetic(self.device, self.precision):
            parts = [self.extractor(part.to(self.device)) for part in torch.split(image, self.batch_size)]
        at = self.statistics_device
        features = torch.cat([part.features for part in parts]).to(at, torch.float32)
        if parts[0].logits is None:
            return Features(features)
        return Features(features, torch.cat([part.logits for part in parts]).to(at, torch.float32))

    def probe(self, image_shape: tuple[int, int, int]) -> Features:
        """Returns the features of zero images, which tell their widths: shapes [0, D] and [0, K]."""
        seen = self.features(torch.zeros(1, *image_shape, dtype=torch.uint8))
        label = torch.empty(0, dtype=torch.int64, device=seen.features.device)
        return Features(seen.features[:0], None if seen.logits is None else seen.logits[:0], label)

    def feed(
        self, batches: Iterable[tuple[Tensor, Tensor, Tensor | None]], empty: Features, consumers: Sequence[Consumer]
    ) -> PassReport:
        """Feeds consumers with the features of all images.

        Arguments:
            batches: The images' places among all images, int64 [N], the images, uint8 [N, C, H, W], and their classes,
                int64 [N], or None.
            empty: Features of zero images; they tell consumers the widths, even on a process that gets no images.
            consumers: What takes in the features.
        """
        num, waiting, computing = 0, 0.0, 0.0
        for consumer in consumers:
            consumer.update(empty, torch.empty(0, dtype=torch.int64))
        mark = self._now()
        for index, image, label in batches:
            ready = self._now()
            if len(image):
                features = self.features(image)
                if label is not None:
                    features = features._replace(label=label.to(features.features.device))
                for consumer in consumers:
                    consumer.update(features, index)
                num += len(image)
            done = self._now()
            waiting, computing, mark = waiting + ready - mark, computing + done - ready, done
        return PassReport(num, waiting + self._now() - mark, computing)

    def _now(self) -> float:
        """Returns the time at which the device is done with what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
