"""Features from any torch module."""

__all__ = ["TorchModule"]

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.cache import content_hash
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.weights import check_file, load_weights, weights_hash
from lit_gen.metrics.features import Features


class TorchModule(Extractor):
    """Creates an extractor from a module that is named by its import path, or from a TorchScript file.

    The module gets float32 images of ``channels`` channels, resized if ``size`` is given, scaled to [0, 1] and then
    normalised by ``mean`` and ``std``. It returns features [N, D] or feature maps [N, D, h, w], which are averaged over
    space, or a pair of such features and logits [N, K].

    Arguments:
        module: The import path of a module class or of a function that returns one, ``torchvision.models.resnet18``.
            Without it ``weights_path`` is a TorchScript file.
        weights_path: The module's state_dict, or a TorchScript file; TorchScript is code, so take what you trust.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits; unchecked by default.
        arguments: Keyword arguments of the class or function.
        label: The name that stands in metric names; by default the last part of the import path, or the file's name.
        size: Height and width that images are resized to; as they are by default.
        resize: How they are resized.
        channels: The module's channels; grey images are repeated. The images' own by default.
        mean: Subtracted per channel from values in [0, 1].
        std: Divides per channel what is left.
        compile: Whether the module is compiled: faster after a minute or so.
    """

    def __init__(
        self,
        module: str | None = None,
        weights_path: str | None = None,
        arguments: dict[str, Any] | None = None,
        label: str | None = None,
        size: int | None = None,
        resize: Literal["bilinear", "bicubic"] = "bicubic",
        channels: int | None = None,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        weights_sha256: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if module is None and weights_path is None:
            raise UserError("TorchModule needs `module`, an import path, or `weights_path`, a TorchScript file")
        if min(std) <= 0.0:
            raise UserError(f"TorchModule's std is {list(std)}, but must be above 0")
        self.module = module
        self.weights_path = weights_path
        self.weights_sha256 = weights_sha256
        self.arguments = arguments or {}
        self.label = label or (module.rpartition(".")[2].lower() if module else Path(str(weights_path)).stem)
        self.size = size
        self.resize = resize
        self.channels = channels
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.compile_network = compile
        self._sha256: str | None = None

    @property
    def name(self) -> str:
        """The label."""
        return self.label

    def prepare(self, data: ImageData, device: torch.device) -> None:
        """Imports the module and loads its weights, once.

        Raises:
            UserError: If there is no such module or file, or it does not take the images.
        """
        if self._sha256 is None:
            network = self._imported() if self.module else self._scripted()
            state = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
            self.hold(network, device, self.compile_network)
            self._sha256 = content_hash(
                {"weights": weights_hash(state), "module": self.module, "arguments": self._arguments()}
            )
        else:
            self.network.to(device)
        try:
            with torch.no_grad():
                self(torch.zeros(1, *data.image_shape, dtype=torch.uint8, device=device))
        except (RuntimeError, TypeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise UserError(
                f"{self.label} does not take images of shape {tuple(data.image_shape)}: {reason}"
            ) from error

    def forward(self, image: Tensor) -> Features:
        """Returns features [N, D], and logits [N, K] if the module gives them, of images uint8 [N, C, H, W]."""
        x = image.float() / 255.0
        if self.channels is not None and x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        if self.size is not None:
            x = interpolate(x, (self.size, self.size), mode=self.resize, antialias=True).clamp(0.0, 1.0)
        mean, std = (x.new_tensor(value).view(1, -1, 1, 1) for value in (self.mean, self.std))
        output = self.network((x - mean) / std)
        features, logits = output if isinstance(output, (tuple, list)) else (output, None)
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        if features.ndim != 2:
            raise ValueError(f"its features are of shape {list(features.shape)}, not [N, D]")
        return Features(features, logits)

    def describe(self) -> dict[str, Any]:
        """Returns name, module, resize and normalisation, and the hash of module, arguments and weights.

        Two modules may have the same weights, or none, and see images differently.
        """
        to = f"{self.resize}, antialiased, to {self.size}" if self.size else "none"
        return {
            "name": self.name,
            "module": self.module,
            "arguments": self._arguments(),
            "resize": f"{to}; mean {list(self.mean)}, std {list(self.std)}",
            "sha256": self._sha256,
        }

    def _arguments(self) -> str:
        return repr(sorted(self.arguments.items()))

    def _imported(self) -> nn.Module:
        """Returns the module that the import path names, with its weights."""
        path = str(self.module)
        package, _, attribute = path.rpartition(".")
        try:
            create = getattr(importlib.import_module(package), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(f"TorchModule cannot import {path!r}: {error}") from error
        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                network = create(**self.arguments)
        except TypeError as error:
            raise UserError(f"{path} does not take the arguments {self.arguments}: {error}") from error
        if not isinstance(network, nn.Module):
            raise UserError(f"{path} gives a {type(network).__name__}, not a torch module")
        if self.weights_path is not None:
            try:
                network.load_state_dict(load_weights(self.weights_path, self.weights_sha256))
            except RuntimeError as error:
                raise UserError(f"{self.weights_path} does not hold the weights of {path}") from error
        return network

    def _scripted(self) -> nn.Module:
        """Returns the module of a TorchScript file."""
        path = Path(str(self.weights_path)).expanduser()
        if not path.is_file():
            raise UserError(f"the TorchScript file {path} does not exist")
        if self.weights_sha256 is not None:
            check_file(path, self.weights_sha256)
        try:
            network: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise UserError(f"{path} is not a TorchScript file; for a state_dict name its module as well") from error
        return network
