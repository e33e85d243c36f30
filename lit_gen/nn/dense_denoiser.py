"""The denoiser of dense layers only, for points of the plane."""

__all__ = ["DenseDenoiser"]

import math

from torch import Tensor, nn
from torch.nn.functional import silu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.time_embedding import TimeEmbedding


class DenseDenoiser(nn.Module):
    """Creates dense layers, each of which is told the time; the last starts at zero.

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        num_classes: The number of classes, None if there are none.
        num_outputs: The channels of what is said of an image; as many as it has by default.
        width: The units of each hidden layer.
        depth: The number of hidden layers.
        scale: About the size of the points' coordinates, by which they are divided.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int | None = None,
        width: int = 256,
        depth: int = 4,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1 or not scale > 0:
            raise UserError("DenseDenoiser's width and depth must be at least 1, and its scale above 0")
        self.image_shape = tuple(image_shape)
        self.output_shape = (num_outputs or image_shape[0], *image_shape[1:])
        self.num_classes, self.scale = num_classes, scale
        self.embedding = TimeEmbedding(width, width, num_classes)
        numbers = math.prod(image_shape)
        self.layers = nn.ModuleList(nn.Linear(width if i else numbers, width) for i in range(depth))
        self.times = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, math.prod(self.output_shape))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W], conditions [B] and labels [B] to [B, num_outputs, H, W]."""
        assert x.shape[1:] == self.image_shape
        e, h = silu(self.embedding(c, label)), x.flatten(1) / self.scale
        for layer, time in zip(self.layers, self.times, strict=True):
            h = silu(layer(h) + time(e))
        return self.last(h).unflatten(1, self.output_shape)
