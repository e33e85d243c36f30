"""The Inception network that FID, KID and IS were defined with."""

__all__ = ["InceptionV3"]

import io
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.inception_network import SIZE, InceptionNetwork
from lit_gen.metrics.extractors.weights import load_weights, weights_hash
from lit_gen.metrics.features import Features


class InceptionV3(Extractor):
    """Creates the extractor of the published FID, KID and IS: 2048 features, 1008 logits, of RGB images at 299 × 299.

    The network and its resize are torch-fidelity's, and equal to it within float32 rounding; grey images are repeated
    into three channels. Weights come from ``weights_path``, else from torch hub's cache, else torch-fidelity's address
    on the internet.

    References:
        | Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016)
        | https://arxiv.org/abs/1512.00567
        | torch-fidelity: High-fidelity performance metrics for generative models in PyTorch (Obukhov et al., 2020)

    Arguments:
        weights_path: A file with torch-fidelity's state_dict; looked for and downloaded by default.
        compile: Compiles the network: a minute, then about a quarter faster on a CPU with a C++ compiler.
    """

    def __init__(self, weights_path: str | None = None, compile: bool = False) -> None:
        super().__init__()
        self.weights_path = weights_path
        self.compiled = compile
        self._sha256: str | None = None

    @property
    def name(self) -> str:
        """``inception``."""
        return "inception"

    def prepare(self, data: ImageData, device: torch.device) -> None:
        """Loads the network.

        Raises:
            UserError: If the weights cannot be had or are not this network's, or images are neither grey nor RGB.
        """
        channels = data.image_shape[0]
        if channels not in (1, 3):
            raise UserError(f"InceptionV3 sees grey or RGB images; those of {data.name} have {channels} channels")
        if self._sha256 is None:
            state, source = self._weights()
            sha256 = weights_hash(state)  # now: the network folds batch norm into the weights where they lie
            self.hold(InceptionNetwork(_inception(state, source), self.compiled), device)
            self._sha256 = sha256
        else:
            self.hold(self.network, device)

    def forward(self, image: Tensor) -> Features:
        """Returns features [N, 2048] and logits [N, 1008] of images uint8 [N, 1 or 3, H, W]."""
        features, logits = self.network(image.expand(-1, 3, -1, -1))
        return Features(features, logits)

    def describe(self) -> dict[str, Any]:
        """Returns name, resize and the hash of the weights."""
        return {"name": self.name, "resize": f"TensorFlow 1 bilinear to {SIZE}", "sha256": self._sha256}

    def _weights(self) -> tuple[dict[str, Tensor], str]:
        """Returns the weights and the name of where they came from."""
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        if self.weights_path is not None:
            return load_weights(self.weights_path), self.weights_path
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(URL_INCEPTION_V3).path).name
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), progress=False)
            except Exception as error:  # no network, no permission, a full disk: all end in the same advice
                raise UserError(
                    f"the Inception weights are not at {path} and could not be downloaded; get {URL_INCEPTION_V3} and "
                    "put it there, or name the file by --extractor.weights_path, or use --extractor Classifier"
                ) from error
        return load_weights(path), str(path)


def _inception(state: dict[str, Tensor], source: str) -> nn.Module:
    """Returns torch-fidelity's network with these weights.

    Raises:
        UserError: If the weights are of another network.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Empty(FeatureExtractorInceptionV3):  # type: ignore[misc]
        """Loads nothing by itself: torch-fidelity unpickles the file it is given, code and all."""

        def load_state_dict(self, *_: Any, **__: Any) -> None:
            """Leaves the weights as they are."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.device("meta"):  # draws no random numbers, takes no memory
        network: nn.Module = Empty(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=nothing
        )
    try:
        nn.Module.load_state_dict(network, state, assign=True)
    except RuntimeError as error:
        raise UserError(f"{source} does not hold the weights of torch-fidelity's InceptionV3") from error
    return network.requires_grad_(False).eval()
