"""LPIPS: how far apart two images are in the eyes of a network."""

__all__ = ["PerceptualSimilarity"]

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.extractors.published_weights import PublishedWeights, get_weights
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.paired_metric import PairedMetric
from lit_gen.metrics.precision import feature_arithmetic

Network = Literal["vgg", "alex", "squeeze"]
_BACKBONES: dict[str, str] = {"vgg": "VGG16", "alex": "AlexNet", "squeeze": "SqueezeNet1_1"}
_ADVICE = "name the file by lpips_weights_path, or leave out 'lpips'"
_LEAST: dict[str, int] = {"vgg": 16, "alex": 31, "squeeze": 17}


class PerceptualSimilarity(PairedMetric):
    """Creates the learned perceptual distance of each image; 0 is best.

    The network and its published linear heads are torchmetrics', the backbone's weights torchvision's: from
    ``weights_path``, else from a cache folder, else from torchvision's address on the internet. Grey images are
    repeated into three channels. Nothing is resized.

    References:
        | The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (Zhang et al., 2018)
        | https://arxiv.org/abs/1801.03924

    Arguments:
        network: The backbone: ``vgg``, ``alex`` or ``squeeze``; scores of unlike ones cannot be compared.
        weights_path: A file with torchvision's state_dict of the backbone; looked for and downloaded by default.

    Raises:
        UserError: If there is no such network.
    """

    name: ClassVar[str] = "lpips"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, network: Network = "vgg", weights_path: str | None = None) -> None:
        if network not in get_args(Network):
            raise UserError(f"lpips_network is {network!r}, but must be one of {', '.join(get_args(Network))}")
        self.network, self.weights_path = network, weights_path
        self._lpips: nn.Module | None = None
        self._sha256 = ""

    def prepare(self, shape: Shape, device: torch.device) -> None:
        """Loads the network.

        Raises:
            UserError: If the weights cannot be had or are not this network's, or the images are neither grey nor RGB,
                or too small.
        """
        channels, height, width = shape
        if channels not in (1, 3):
            raise UserError(f"lpips sees grey or RGB images, but these have {channels} channels: leave out 'lpips'")
        least = _LEAST[self.network]
        if min(height, width) < least:
            raise UserError(
                f"lpips sees images of {least}×{least} or more by lpips_network {self.network}, but these are of "
                f"{height}×{width}: leave out 'lpips'"
            )
        if self._lpips is None:
            published = PublishedWeights.torchvision(f"{_BACKBONES[self.network]}_Weights.DEFAULT")
            state, source = get_weights(published, self.weights_path, advice=_ADVICE)
            self._lpips = _with_backbone(self.network, state, source)
            self._sha256 = weights_hash(self._lpips.state_dict())
        self._lpips.to(device)

    def settings(self) -> dict[str, Any]:
        """Returns the network and the hash of its weights, heads included."""
        return {"network": self.network, "sha256": self._sha256}

    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """Returns the distance of each image, shape [N]."""
        assert self._lpips is not None, "prepare comes first"
        device = next(self._lpips.parameters()).device
        x, y = (from_uint8(image.to(device)).expand(-1, 3, -1, -1) for image in (output, target))
        with feature_arithmetic(device):
            distance: Tensor = self._lpips(x, y)
        return distance.flatten()


def _with_backbone(network: Network, state: dict[str, Tensor], source: str) -> nn.Module:
    """Returns torchmetrics' network with its own heads and these weights in its backbone.

    Raises:
        UserError: If the weights are of another network.
    """
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    with torch.random.fork_rng(devices=[]):  # it draws an initialisation first
        lpips = _NoTrainLpips(net=network, pnet_rand=True)
    # Its slices keep the names of torchvision's layers: slice2.5.weight and slices.2.5.weight are features.5.weight.
    depth = 2 if network == "squeeze" else 1
    own = lpips.net.state_dict()
    theirs = {name: state.get("features." + name.split(".", depth)[depth]) for name in own}
    if any(value is None or value.shape != own[name].shape for name, value in theirs.items()):
        raise UserError(f"{source} does not hold the weights of torchvision's {_BACKBONES[network]}, which lpips needs")
    lpips.net.load_state_dict(theirs)
    return lpips
