"""A small convolutional classifier and its training."""

__all__ = ["VERSION", "ClassifierNetwork", "train_classifier"]

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.contracts import Shape
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.network_training import train_network

VERSION = 1
"""Raised when anything here, or in `train_network`, changes the weights that come out: cached classifiers of other
versions are not used."""


class ClassifierNetwork(nn.Module):
    """Creates strided convolutions with batch norm and ReLU down to about 8 × 8, a hidden layer and a linear head.

    Arguments:
        image_shape: Channels, height and width; both sides are at least 8.
        num_classes: The number of classes K.
        features: The width of the hidden layer D.
        channels: The channels of the last convolution; they halve towards the image, down to 16.
    """

    def __init__(self, image_shape: Shape, num_classes: int, features: int = 128, channels: int = 64) -> None:
        super().__init__()
        width, *size = image_shape
        assert min(size) >= 8, "images are at least 8 × 8"
        stages = max(2, (max(size) - 1).bit_length() - 3)
        layers: list[nn.Module] = []
        for stage in range(stages):
            wider = max(16, channels >> (stages - 1 - stage))
            layers += [nn.Conv2d(width, wider, 3, 2, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
            width, size = wider, [(side + 1) // 2 for side in size]
        flat = width * size[0] * size[1]
        layers += [nn.Flatten(), nn.Linear(flat, features, bias=False), nn.BatchNorm1d(features), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(features, num_classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the hidden layer [N, D] and the logits [N, K] of images uint8 [N, C, H, W]."""
        return self.of_floats(from_uint8(image))

    def of_floats(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the same of images in [−1, 1], float32 [N, C, H, W], to which gradients pass."""
        features = self.trunk(x.contiguous(memory_format=torch.channels_last))
        return features, self.head(features)


def train_classifier(image: Tensor, label: Tensor, num_classes: int, seed: int = 0) -> ClassifierNetwork:
    """Trains a classifier, on about 120,000 images; see `train_network`.

    Arguments:
        image: uint8, shape [N, C, H, W], N ≥ 2.
        label: int64 in [0, num_classes), shape [N].
        num_classes: The number of classes.
        seed: Seeds the initialisation and the order of the images.
    """
    _, channels, height, width = image.shape

    def loss(network: ClassifierNetwork, chosen: Tensor) -> Tensor:
        return cross_entropy(network(image[chosen])[1], label[chosen])

    return train_network(lambda: ClassifierNetwork((channels, height, width), num_classes), loss, len(image), seed)
