"""A small convolutional network that says of which class each pixel is."""

__all__ = ["SegmentationNetwork"]

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lit_gen.contracts import Shape
from lit_gen.functional.quantize import from_uint8

_INSIDE = 64


class SegmentationNetwork(nn.Module):
    """Creates strided convolutions down to an eighth, and convolutions back up that see the maps on the way, too.

    Maps are about 64 × 64 at the most, and the logits of larger images interpolated: a network that measures must be
    trained in minutes on a CPU, whatever the size of the images.

    Arguments:
        image_shape: Channels, height and width; both sides are at least 8.
        num_classes: The number of classes K.
        features: The channels of the finest maps; they double at each halving, up to four times as many.
    """

    def __init__(self, image_shape: Shape, num_classes: int, features: int = 16) -> None:
        super().__init__()
        channels, *size = image_shape
        assert min(size) >= 8, "images are at least 8 × 8"
        stride = -(-max(size) // _INSIDE)
        kernel = max(3, 2 * stride - 1)
        widths = [features, 2 * features, 4 * features, 4 * features]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, features, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(features), nn.ReLU()
        )
        self.down = nn.ModuleList(_block(a, b, 2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(_block(b, a, 1) for a, b in itertools.pairwise(widths))
        self.last = _block(features, features, 1)
        self.head = nn.Conv2d(features, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Returns the logits [N, K, H, W] of images uint8 [N, C, H, W]."""
        x = self.stem(from_uint8(image).contiguous(memory_format=torch.channels_last))
        seen = []
        for block in self.down:
            seen.append(x)
            x = block(x)
        for block in reversed(self.up):
            skipped = seen.pop()
            x = interpolate(block(x), skipped.shape[-2:]) + skipped
        logits: Tensor = self.head(self.last(x))
        size = image.shape[-2:]
        return logits if logits.shape[-2:] == size else interpolate(logits, size, mode="bilinear", align_corners=False)


def _block(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
