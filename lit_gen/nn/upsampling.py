"""Convolutions that double a map."""

__all__ = ["Upsampling", "doubling"]

from typing import Literal, TypeAlias

from torch import nn

from lit_gen.errors import UserError

Upsampling: TypeAlias = Literal["transposed", "nearest"]


def doubling(upsampling: Upsampling, inputs: int, outputs: int, kernel: int, bias: bool) -> nn.Module:
    r"""Makes a layer that maps [B, C, H, W] to [B, C', 2·H, 2·W].

    References:
        | Deconvolution and Checkerboard Artifacts (Odena, Dumoulin & Olah, 2016)
        | https://doi.org/10.23915/distill.00003

    Arguments:
        upsampling: ``transposed``, one transposed convolution, or ``nearest``, pixels repeated and then a 3×3
            convolution, which leaves no checkerboard.
        inputs: The channels C.
        outputs: The channels C'.
        kernel: The transposed convolution's, 3 or 4.
        bias: Whether there is one.

    Raises:
        UserError: If there is no such upsampling.
    """
    if upsampling == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=1, output_padding=kernel % 2, bias=bias)
    if upsampling == "nearest":
        return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias))
    raise UserError(f"upsampling is '{upsampling}'; it can be 'transposed' or 'nearest'")
