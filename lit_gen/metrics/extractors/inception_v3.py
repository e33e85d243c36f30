"""The Inception network that FID, KID and IS were defined with."""

__all__ = ["InceptionV3"]

import io
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.published_weights import PublishedWeights, get_weights
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.features import Features

SIZE = 299


def _resize_matrix(size: int, device: torch.device) -> Tensor:
    """Returns the bilinear resize of TensorFlow 1 along one side, as a matrix of shape [299, size].

    It maps pixel i of the output to i·size/299 in the input, without half-pixel centres and without antialiasing. FID's
    published numbers depend on it.
    """
    source = torch.arange(SIZE, dtype=torch.float32, device=device) * (size / SIZE)
    low = source.long()
    weight = source - low
    matrix = torch.zeros(SIZE, size, device=device)
    matrix.scatter_add_(1, low[:, None], 1.0 - weight[:, None])
    matrix.scatter_add_(1, (low + 1).clamp(max=size - 1)[:, None], weight[:, None])
    return matrix


class _Network(nn.Module):
    """torch-fidelity's Inception without its slow resize, batch norm folded into the convolutions."""

    def __init__(self, inception: nn.Module) -> None:
        super().__init__()
        for block in inception.modules():
            convolution, norm = getattr(block, "conv", None), getattr(block, "bn", None)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block.conv, block.bn = fuse_conv_bn_eval(convolution, norm), nn.Identity()
        *trunk, head = inception.children()  # convolutions and poolings in the order of their use, then the classifier
        assert isinstance(head, nn.Linear), "torch-fidelity's network ends with its classifier"
        self.trunk = nn.Sequential(*trunk).to(memory_format=torch.channels_last)
        self.head = nn.Parameter(head.weight.detach(), requires_grad=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        _, _, height, width = image.shape
        rows, columns = _resize_matrix(height, image.device), _resize_matrix(width, image.device)
        x = (rows @ image.float() @ columns.T - 128.0) / 128.0
        features = self.trunk(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return features, features @ self.head.T  # "unbiased" logits: torch-fidelity's IS leaves the bias out


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
    """

    def __init__(self, weights_path: str | None = None, weights_sha256: str | None = None) -> None:
        super().__init__()
        self.weights_path = weights_path
        self.weights_sha256 = weights_sha256
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
            self.hold(_Network(_inception(state, source)), device)
            self._sha256 = weights_hash(state)
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

    # torch-fidelity unpickles the file it is given, code and all. It is given what was read as tensors only, once more.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):  # it draws an initialisation before it loads the weights
            network: nn.Module = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=buffer
            )
    except RuntimeError as error:
        raise UserError(f"{source} does not hold the weights of torch-fidelity's InceptionV3") from error
    return network
