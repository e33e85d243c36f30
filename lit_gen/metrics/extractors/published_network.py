"""What extractors of published networks share: weights, resize, normalisation."""

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Normalised", "PublishedNetwork"]

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError, nearest
from lit_gen.functional.resize import resize_tensorflow1
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.published_weights import PublishedWeights, get_weights
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.features import Features

Choice = TypeVar("Choice", bound=str)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalised(nn.Module):
    """Creates a network of uint8 images: resize, normalisation, then a network of float32 images.

    Images are resized in full precision, whatever the arithmetic of the network: bfloat16 would take them to steps of
    one grey level, and the interpolation with them.

    Arguments:
        network: From float images [N, 3, S, S] to features [N, D].
        size: The side S.
        mean: Subtracted per channel from values in [0, 1].
        std: Divides per channel what is left.
    """

    def __init__(self, network: nn.Module, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.size = size
        self.register_buffer("mean", 255.0 * torch.tensor(mean, dtype=torch.float64).view(3, 1, 1).float())
        self.register_buffer("std", 255.0 * torch.tensor(std, dtype=torch.float64).view(3, 1, 1).float())

    def forward(self, image: Tensor) -> Tensor:
        """Returns features [N, D] of images uint8 [N, 1 or 3, H, W]; grey ones are repeated."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        with torch.autocast(image.device.type, enabled=False):
            x = (resize_tensorflow1(image.to(mean.dtype), self.size) - mean) / std
        features: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return features


class PublishedNetwork(Extractor):
    """An extractor whose network has published weights, sees RGB images of one size and gives features alone.

    Arguments:
        weights_path: A file with the weights; looked for in torch hub's folder and in ``LIT_GEN_CACHE/weights``, else
            downloaded, by default.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits. A file that was published is
            checked by default, the user's own is not.
        compile: Whether the network is compiled: faster after a minute or so.
    """

    def __init__(
        self, weights_path: str | None = None, weights_sha256: str | None = None, compile: bool = False
    ) -> None:
        super().__init__()
        self.weights_path = weights_path
        self.weights_sha256 = weights_sha256
        self.compile_network = compile
        self._size: int | None = None
        self._sha256: str | None = None

    def one_of(self, choice: Choice, choices: Collection[Choice]) -> Choice:
        """Returns the choice.

        Raises:
            UserError: If it is none of the choices.
        """
        if choice not in choices:
            hint = nearest(choice, choices)
            raise UserError(f"there is no {choice!r} of {type(self).__name__} among {', '.join(choices)}{hint}")
        return choice

    @abstractmethod
    def published(self) -> PublishedWeights:
        """Where the weights are published."""

    @abstractmethod
    def build(self, state: Mapping[str, Tensor]) -> Normalised:
        """Returns the network with these weights.

        Raises:
            KeyError, RuntimeError, ValueError: If the weights are of another network.
        """

    def relevant(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns those of a file's weights that features depend on; all by default."""
        return state

    def prepare(self, data: ImageData, device: torch.device) -> None:
        """Loads the network.

        Raises:
            UserError: If the weights cannot be had or are not this network's, or images are neither grey nor RGB.
        """
        channels = data.image_shape[0]
        if channels not in (1, 3):
            raise UserError(
                f"{type(self).__name__} sees grey or RGB images; those of {data.name} have {channels} channels"
            )
        if self._sha256 is not None:
            self.network.to(device)
            return
        state, source = get_weights(self.published(), self.weights_path, self.weights_sha256)
        state = self.relevant(state)
        try:
            with torch.random.fork_rng(devices=[]):  # networks draw an initialisation before they get their weights
                network = self.build(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"{source} does not hold the weights of {self.name}") from error
        self.hold(network, device, self.compile_network)
        self._size, self._sha256 = network.size, weights_hash(state)

    def forward(self, image: Tensor) -> Features:
        """Returns features [N, D] of images uint8 [N, 1 or 3, H, W]."""
        return Features(self.network(image))

    def describe(self) -> dict[str, Any]:
        """Returns name, resize and the hash of the weights."""
        return {"name": self.name, "resize": f"TensorFlow 1 bilinear to {self._size}", "sha256": self._sha256}
