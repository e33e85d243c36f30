"""The abstract judge: a network trained on real images, and what it counts in a model's."""

__all__ = ["Counts", "Judge", "Noise"]

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from lit_gen.contracts import Batch, Generators, ImageData
from lit_gen.errors import UserError
from lit_gen.functional.quantize import to_uint8
from lit_gen.metrics.cache import Cache
from lit_gen.metrics.distributed import from_rank_zero
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.precision import feature_arithmetic

log = logging.getLogger(__name__)

Noise: TypeAlias = Callable[[str], Generators]
"""The source of randomness of a batch's images, for each purpose that is named another."""

_VERSION = 1
"""Raised when anything changes the weights that come out of training a judge."""


class Counts(NamedTuple):
    """What scores are ratios of sums of, image by image; see `lit_gen.functional.ratio_of_sums`.

    Attributes:
        numerator: float64 [N, C], on the CPU.
        denominator: Likewise; 0 where there is nothing to count.
    """

    numerator: Tensor
    denominator: Tensor


class Judge(ABC):
    """Judges a model's images by a network that is trained once, on real ones, and kept in the cache.

    The network is trained deterministically, on one process and the CPU, and found again by the hash of the data. The
    same data give the same weights for any number of cores and processes; another kind of processor may round
    otherwise.

    Arguments:
        cache: Where trained networks are kept.
    """

    name: ClassVar[str]
    """The name by which its scores are asked for."""
    compared: ClassVar[str]
    """What the scores are shares of, for the protocol."""

    network: nn.Module

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._sha256 = ""

    @abstractmethod
    def misfit(self, model: Any, data: ImageData) -> str | None:
        """Says why a model or its data have nothing to judge, None if they have."""

    @abstractmethod
    def look(self, model: Any, data: ImageData) -> None:
        """Takes note of what is to be recognised; `misfit` has nothing against it."""

    @abstractmethod
    def key(self) -> dict[str, Any]:
        """Returns what the network depends on beside the training images, as plain values."""

    @abstractmethod
    def make(self) -> nn.Module:
        """Returns the network, not yet trained."""

    @abstractmethod
    def train(self) -> nn.Module:
        """Returns the network, trained on the training split."""

    @property
    @abstractmethod
    def scores(self) -> Mapping[str, Sequence[int]]:
        """For every score the columns of `Counts` whose ratios it is the mean of."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns what the scores depend on beside the images and the network, as plain values, for the protocol."""

    @abstractmethod
    def judge(self, model: Any, batch: Batch, noise: Noise) -> Counts:
        """Lets a model translate, and counts what is recognised.

        Arguments:
            model: The model.
            batch: Real images and all that belongs to them, as the model sees them.
            noise: The source of randomness.
        """

    @abstractmethod
    def real(self, batch: Batch) -> Counts:
        """Counts the same in the real images, with denominators of 0 where there is nothing of the kind."""

    def prepare(self, model: Any, data: ImageData, device: torch.device) -> None:
        """Gets the network from the cache, or trains it, and moves it to a device."""
        self.look(model, data)
        key = {"version": _VERSION, "train": data.fingerprint("train"), "shape": list(data.image_shape), **self.key()}
        # One process trains, and all take its weights: they must not see images through different eyes.
        weights = from_rank_zero(lambda: self._weights(key, data))
        with torch.random.fork_rng(devices=[]):
            network = self.make()
        network.load_state_dict(weights)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._sha256 = weights_hash(weights)
        self.shape = data.image_shape

    def describe(self) -> dict[str, Any]:
        """Returns all that the scores depend on beside the images, for the protocol; after `prepare`."""
        return {"sha256": self._sha256, **self.settings()}

    def see(self, image: Tensor) -> Any:
        """Returns what the network says of images uint8 [N, C, H, W]."""
        with feature_arithmetic(image.device):
            return self.network(image)

    def stored(self, image: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Returns a model's images as they would be stored, uint8 [N, C, H, W].

        Raises:
            UserError: If they hold NaN, or are of another shape than real ones.
        """
        shape = self.shape if shape is None else shape
        if tuple(image.shape[1:]) != tuple(shape):
            raise UserError(
                f"the model's images are of shape {tuple(image.shape[1:])}, the real ones of {tuple(shape)}"
            )
        try:
            return to_uint8(image)
        except ValueError as error:
            raise UserError(
                "the model's translations hold NaN: training has diverged; go on from the last good checkpoint with a "
                "smaller learning rate"
            ) from error

    def _weights(self, key: dict[str, Any], data: ImageData) -> dict[str, Tensor]:
        entry = self.cache.get(self.name, key)
        if entry is None:
            log.info("Training the network of %s on %s, once; this takes a minute or two …", self.name, data.name)
            begin = time.perf_counter()
            entry = {"weights": self.train().state_dict()}
            log.info("Trained it in %.0f s.", time.perf_counter() - begin)
            self.cache.put(self.name, key, entry)
        weights: dict[str, Tensor] = entry["weights"]
        return weights
