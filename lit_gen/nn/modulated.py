r"""Convolutions that a style modulates, and the layers of StyleGAN2's synthesis network made of them."""

__all__ = ["ModulatedConv2d", "StyledLayer", "ToImage"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from lit_gen.nn.equalized import EqualizedLinear, activate
from lit_gen.nn.resampling import blur


class ModulatedConv2d(nn.Module):
    r"""Creates a convolution whose weights a style modulates, one set of them per image.

    .. math:: w'_{ijk} = s_i w_{ijk}, \qquad w''_{ijk} = w'_{ijk} / \sqrt{\sum_{i,k} {w'_{ijk}}^2 + \epsilon}

    with s = A w + 1, linear in the style. Scaling the inputs' channels by s and the outputs' by the demodulation is the
    same as convolving every image with weights of its own, and is one plain convolution.

    References:
        | Analyzing and Improving the Image Quality of StyleGAN (Karras et al., 2020), equations (1) and (3)
        | https://arxiv.org/abs/1912.04958

    Arguments:
        in_channels: The channels of the inputs.
        out_channels: The channels of the outputs.
        kernel_size: The kernel's side: 3, or 1.
        style_dim: The size of styles.
        demodulate: Whether outputs are scaled back to the inputs' size.
        up: Whether maps are doubled and filtered by [1, 3, 3, 1].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        assert kernel_size == 3 or (kernel_size == 1 and not up)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.affine = EqualizedLinear(style_dim, in_channels, bias=1.0)
        self.gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate, self.up, self.padding = demodulate, up, kernel_size // 2

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps [B, in_channels, H, W], by styles [B, style_dim], to [B, out_channels, H, W], or twice H and W."""
        weight, s = self.weight * self.gain, self.affine(w)
        x = x * s[:, :, None, None]
        if self.up:
            # Zeros between the pixels, convolution, filter; 4 makes up for the zeros.
            x = 4.0 * blur(conv_transpose2d(x, weight.transpose(0, 1), stride=2), (1, 1), (1, 1))
        else:
            x = conv2d(x, weight, padding=self.padding)
        if self.demodulate:
            x = x * (s.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()[:, :, None, None]
        return x


class StyledLayer(nn.Module):
    r"""Creates a layer of StyleGAN2: modulated convolution, noise of learned strength, bias, LeakyReLU.

    The noise is fresh in training. In evaluation it is one that was drawn when the layer was made, so that an image
    depends on its latent alone.

    Arguments:
        in_channels: The channels of the inputs.
        out_channels: The channels of the outputs.
        style_dim: The size of styles.
        size: The height and width of the outputs.
        up: Whether maps are doubled, and cropped to `size`, at most their last row and column.
    """

    constant: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, size: tuple[int, int], up: bool = False
    ) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(in_channels, out_channels, 3, style_dim, up=up)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("constant", torch.randn(size))
        self.size = size

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps [B, in_channels, h, w], by styles [B, style_dim], to [B, out_channels, H, W]."""
        x = self.convolution(x, w)[:, :, : self.size[0], : self.size[1]]
        assert x.shape[2:] == self.size
        noise = torch.randn(len(x), 1, *self.size, device=x.device, dtype=x.dtype) if self.training else self.constant
        return activate(x + self.noise_strength * noise + self.bias[:, None, None])


class ToImage(nn.Module):
    """Creates the layer that turns maps into images: a modulated 1×1 convolution without demodulation, and a bias.

    Arguments:
        in_channels: The channels of the maps.
        out_channels: The channels of the images.
        style_dim: The size of styles.
    """

    def __init__(self, in_channels: int, out_channels: int, style_dim: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(in_channels, out_channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps [B, in_channels, H, W], by styles [B, style_dim], to [B, out_channels, H, W]."""
        return self.convolution(x, w) + self.bias[:, None, None]
