"""What networks are told of the time: waves of many lengths."""

__all__ = ["TimeEmbedding", "waves"]

import math

import torch
from torch import Tensor, nn

_LONGEST = 10_000.0


def waves(c: Tensor, features: int) -> Tensor:
    """Returns cosines and sines of numbers [B] at frequencies from 1 down to 1/10,000, float32 [B, features].

    References:
        | Attention Is All You Need (Vaswani et al., 2017), section 3.5
        | https://arxiv.org/abs/1706.03762
    """
    half = (features + 1) // 2
    frequencies = torch.exp(-math.log(_LONGEST) / half * torch.arange(half, device=c.device, dtype=torch.float64))
    angle = c.double()[:, None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], dim=1)[:, :features].float()


class TimeEmbedding(nn.Module):
    """Creates the layers that make vectors of the time, and of the class if there are classes.

    There is one class more than the data have: that of an image whose class is not told.

    Arguments:
        features: The numbers of waves that the time is told by.
        outputs: The size of the vectors.
        num_classes: The number of classes, None if there are none.
    """

    def __init__(self, features: int, outputs: int, num_classes: int | None = None) -> None:
        super().__init__()
        self.features = features
        self.layers = nn.Sequential(nn.Linear(features, outputs), nn.SiLU(), nn.Linear(outputs, outputs))
        self.classes = None if num_classes is None else nn.Embedding(num_classes + 1, outputs)

    def forward(self, c: Tensor, label: Tensor | None) -> Tensor:
        """Maps conditions [B] and labels [B], if there are classes, to vectors [B, outputs]."""
        assert (label is not None) == (self.classes is not None)
        h = self.layers(waves(c, self.features).to(next(self.layers.parameters()).dtype))
        return h if label is None or self.classes is None else h + self.classes(label)
