r"""Layers whose learning rate is equalised: weights are drawn from N(0, 1) and scaled to size in every forward pass.

Adam's steps are of one size whatever a weight's, so that weights kept at one size are all learnt at one speed.
"""

__all__ = ["EqualizedConv2d", "EqualizedLinear", "activate"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from lit_gen.nn.resampling import blur


def activate(x: Tensor) -> Tensor:
    """Applies LeakyReLU of slope 0.2, scaled by √2 to keep a normal variable's size."""
    return leaky_relu(x, 0.2) * math.sqrt(2)


class EqualizedLinear(nn.Module):
    r"""Creates a linear layer with equalised learning rate: (λ/√D) W x + λ b.

    References:
        | Progressive Growing of GANs for Improved Quality, Stability, and Variation (Karras et al., 2018), section 4.1
        | https://arxiv.org/abs/1710.10196

    Arguments:
        in_features: The size D of the inputs.
        out_features: The size of the outputs.
        bias: What the biases λ b start from.
        lr_multiplier: The learning rate λ of this layer, in those of the others.
    """

    def __init__(self, in_features: int, out_features: int, bias: float = 0.0, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias / lr_multiplier))
        self.gain, self.lr_multiplier = lr_multiplier / math.sqrt(in_features), lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Maps [..., in_features] to [..., out_features]."""
        return linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class EqualizedConv2d(nn.Module):
    """Creates a convolution with equalised learning rate; see `EqualizedLinear`.

    Arguments:
        in_channels: The channels of the inputs.
        out_channels: The channels of the outputs.
        kernel_size: The kernel's side, odd.
        bias: Whether there is a bias.
        down: Whether maps are filtered by [1, 3, 3, 1] and halved, odd sides to their upper half.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        assert kernel_size % 2 == 1
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.padding, self.down = kernel_size // 2, down

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, in_channels, H, W] to [B, out_channels, H, W], or to half of that height and width."""
        weight = self.weight * self.gain
        if not self.down:
            return conv2d(x, weight, self.bias, padding=self.padding)
        first = self.padding + 1
        x = blur(x, (first, first), (first + x.shape[2] % 2, first + x.shape[3] % 2))
        return conv2d(x, weight, self.bias, stride=2)
