"""The Inception network that FID, KID and IS were defined with."""

__all__ = ["InceptionV3"]

import io
from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.inception_network import SIZE, InceptionNetwork
from lit_gen.metrics.extractors.published_weights import PublishedWeights, get_weights
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.features import Features


class InceptionV3(Extractor):
    """Creates the extractor of the published FID, KID and IS: 2048 features, 1008 logits, of RGB images at 299 × 299.

    The network and its resize are torch-fidelity's, and equal to it within float32 rounding; grey images are repeated
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
            from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

            published = PublishedWeights.at(URL_INCEPTION_V3)
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
