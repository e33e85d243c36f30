"""VGG16's features, which published precision and recall were computed with."""

__all__ = ["VGG16"]

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from lit_gen.metrics.extractors.published_network import IMAGENET_MEAN, IMAGENET_STD, Normalised, PublishedNetwork
from lit_gen.metrics.extractors.published_weights import PublishedWeights

SIZE = 224
Layer: TypeAlias = Literal["fc2_relu", "fc2"]
_LAYERS: dict[Layer, int] = {"fc2_relu": 5, "fc2": 4}  # how many of the classifier's modules are kept


class VGG16(PublishedNetwork):
    """Creates the extractor of improved precision and recall: 4096 features of RGB images at 224 × 224, no logits.

    The weights are torchvision's, resize, normalisation and layer those of torch-fidelity. On random weights, relative
    to the spread of the features, float32 differs from float64 by less than 2e-5, compiled or not, and bfloat16 by less
    than 0.05.

    References:
        | Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and Zisserman, 2015)
        | https://arxiv.org/abs/1409.1556
        | Improved Precision and Recall Metric for Assessing Generative Models (Kynkäänniemi et al., 2019)
        | https://arxiv.org/abs/1904.06991

    Arguments:
        layer: The second fully connected layer, after its ReLU as in the paper or before it.
        weights_path: A file with torchvision's state_dict; looked for in torch hub's folder and in
            ``LIT_GEN_CACHE/weights``, else downloaded, by default.
        weights_sha256: The SHA-256 that the file must have, at least its first 8 digits.
        compile: Whether the network is compiled: faster after a minute or so.
    """

    def __init__(
        self,
        layer: Layer = "fc2_relu",
        weights_path: str | None = None,
        weights_sha256: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(weights_path, weights_sha256, compile)
        self.layer = self.one_of(layer, _LAYERS)

    @property
    def name(self) -> str:
        """``vgg16``, or ``vgg16-fc2`` for that layer."""
        return "vgg16" if self.layer == "fc2_relu" else f"vgg16-{self.layer}"

    def published(self) -> PublishedWeights:
        """Where torchvision publishes the weights."""
        return PublishedWeights.torchvision("VGG16_Weights.IMAGENET1K_V1")

    def relevant(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns all but the classes' layer."""
        return {name: value for name, value in state.items() if not name.startswith("classifier.6.")}

    def build(self, state: Mapping[str, Tensor]) -> Normalised:
        """Returns the network with these weights."""
        from torchvision.models import vgg16

        with torch.device("meta"):  # nothing is drawn: the weights take the places of these
            network = vgg16(init_weights=False)
        kept = list(network.classifier.children())[: _LAYERS[self.layer]]
        network.classifier = nn.Sequential(*kept)
        network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
        return Normalised(network, SIZE, IMAGENET_MEAN, IMAGENET_STD)
