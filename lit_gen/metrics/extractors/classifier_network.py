"""A small convolutional classifier and its training."""

__all__ = ["VERSION", "ClassifierNetwork", "train_classifier"]

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.contracts import Shape
from lit_gen.functional.quantize import from_uint8

VERSION = 1
"""Raised when anything here changes the weights that come out: cached classifiers of other versions are not used."""


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
        features = self.trunk(from_uint8(image).contiguous(memory_format=torch.channels_last))
        return features, self.head(features)


def train_classifier(image: Tensor, label: Tensor, num_classes: int, seed: int = 0) -> ClassifierNetwork:
    """Trains a classifier on the CPU, in one thread: the weights are the same for any number of cores.

    Adam with decoupled weight decay, the learning rate rising over the first fifth of the steps and falling to 0, for
    about 120,000 images, or 25 epochs where that is less. The global random number generators are left alone, and so
    are autocast and inference mode around the call.

    Arguments:
        image: uint8, shape [N, C, H, W], N ≥ 2.
        label: int64 in [0, num_classes), shape [N].
        num_classes: The number of classes.
        seed: Seeds the initialisation and the order of the images.
    """
    num, batch_size, peak, warm = len(image), min(len(image), 128), 5e-3, 0.2
    epochs = max(1, min(25, round(120_000 / num)))
    _, channels, height, width = image.shape
    generator = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                network = ClassifierNetwork((channels, height, width), num_classes)
            network.to(memory_format=torch.channels_last)
            optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
            steps = epochs * (num // batch_size)
            for step in range(steps):
                start = step % (num // batch_size) * batch_size
                if start == 0:
                    order = torch.randperm(num, generator=generator)
                chosen = order[start : start + batch_size]
                _, logits = network(image[chosen])
                loss = cross_entropy(logits, label[chosen])
                optimizer.param_groups[0]["lr"] = peak * min((step + 1) / steps / warm, (1 - step / steps) / (1 - warm))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
    finally:
        torch.set_num_threads(threads)
    return network.eval()
