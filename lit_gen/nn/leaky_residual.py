"""The residual blocks of StarGAN v2, which keep the variance of what goes through them."""

__all__ = ["LeakyBlock", "initialise_rectified"]

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from lit_gen.nn.residual import NormFactory, downsample, normalised

_SLOPE = 0.2


class LeakyBlock(nn.Module):
    r"""Creates a pre-activation block: (norm, LeakyReLU, 3×3) twice, beside it at most 1×1; their sum over √2.

    A map is doubled before the first convolution, or halved after it. The first convolution keeps the channels where
    maps are halved, and the second where they are doubled.

    References:
        | StarGAN v2: Diverse Image Synthesis for Multiple Domains (Choi et al., 2020), appendix
        | https://arxiv.org/abs/1912.01865

    Arguments:
        inputs: The channels C that come in.
        outputs: The channels C' that go out.
        resize: What becomes of the map: ``none``, ``halve`` (an odd side to its upper half) or ``double``.
        norm: Makes the normalisation of a number of channels; given a style if the block is.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        resize: Literal["none", "halve", "double"] = "none",
        norm: NormFactory = nn.Identity,
    ) -> None:
        super().__init__()
        self.resize = resize
        hidden = outputs if resize == "double" else inputs
        self.norm1, self.norm2 = norm(inputs), norm(hidden)
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, s: Tensor | None = None) -> Tensor:
        """Maps [B, C, H, W], and the styles that its norms take, to [B, C', H', W']."""
        h = leaky_relu(normalised(self.norm1, x, s), _SLOPE)
        h = self.conv1(_doubled(h) if self.resize == "double" else h)
        h = downsample(h) if self.resize == "halve" else h
        h = self.conv2(leaky_relu(normalised(self.norm2, h, s), _SLOPE))
        # A 1×1 convolution commutes with the repetition and the averaging of pixels; this order costs a quarter.
        x = self.shortcut(downsample(x) if self.resize == "halve" else x)
        return (h + (_doubled(x) if self.resize == "double" else x)) / math.sqrt(2)


def initialise_rectified(network: nn.Module) -> None:
    """Draws weights from N(0, 2/D), D the numbers that an output is a sum of; biases are 0.

    References:
        | Delving Deep into Rectifiers (He et al., 2015), equation (10)
        | https://arxiv.org/abs/1502.01852
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="nearest")
