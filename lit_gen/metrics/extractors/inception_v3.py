"""The Inception network that FID, KID and IS were defined with."""

__all__ = ["InceptionV3"]

from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.inception_layers import inception_layers
from lit_gen.metrics.extractors.inception_network import SIZE, InceptionNetwork
from lit_gen.metrics.extractors.published_weights import PublishedWeights, get_weights
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.features import Features

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
"""Where torch-fidelity publishes the weights, TensorFlow's of 2015."""


class InceptionV3(Extractor):
    """Creates the extractor of the published FID, KID and IS: 2048 features, 1008 logits, of RGB images at 299 × 299.

    Network, weights and resize are equal to torch-fidelity's within float32 rounding; grey images are repeated
    into three channels.

    References:
        | Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016)
        | https://arxiv.org/abs/1512.00567
        | torch-fidelity: High-fidelity performance metrics for generative models in PyTorch (Obukhov et al., 2020)

    Arguments:
        weights_path: A file with torch-fidelity's state_dict; looked for in torch hub's folder and in
            ``LIT_GEN_CACHE/weights``, else downloaded, by default.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits.
        compile: Compiles the network: a minute, then about a quarter faster on a CPU with a C++ compiler.
    """

    def __init__(
        self, weights_path: str | None = None, weights_sha256: str | None = None, compile: bool = False
    ) -> None:
        super().__init__()
        self.weights_path = weights_path
        self.weights_sha256 = weights_sha256
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
            published = PublishedWeights.at(URL)
            state, source = get_weights(published, self.weights_path, self.weights_sha256)
            sha256 = weights_hash(state)  # now: the network folds batch norm into the weights where they lie
            inception = _inception(state, source)
            state.clear()  # the network has the tensors, and can let go of each as it lays it out anew
            self.hold(InceptionNetwork(inception, self.compiled), device)
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


def _inception(state: dict[str, Tensor], source: str) -> nn.Module:
    """Returns the network with these weights.

    Raises:
        UserError: If the weights are of another network.
    """
    with torch.device("meta"):  # draws no random numbers, takes no memory
        network = inception_layers()
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise UserError(f"{source} does not hold the weights of torch-fidelity's InceptionV3") from error
    return network.requires_grad_(False).eval()
