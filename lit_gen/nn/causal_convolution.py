r"""Convolutions that see rows above and, of a pixel's own row, what stands left of it.

A kernel has `above` rows over the pixel's own, `left` columns left of it and `right` columns right of it; of its own
row the columns to the right are masked, and of the pixel itself the groups that follow (and, in the first layer, its
own group: mask A).
"""

__all__ = ["CausalConvolution"]

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from lit_gen.nn.causal_network import group_slices


class CausalConvolution(nn.Module):
    r"""Creates a masked convolution.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 3.4: masks A and B
        | https://arxiv.org/abs/1601.06759

    Arguments:
        in_features: The maps that come in, group after group.
        out_features: The maps that go out, group after group.
        above: The rows of the kernel above its own.
        left: Its columns left of the pixel.
        right: Its columns right of the pixel, in the rows above.
        groups: The groups G of a pixel's channels.
        strict: Whether mask A applies: of the pixel, group g sees groups below g, rather than up to g.
        stride: How many rows and columns become one.
    """

    mask: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        above: int = 0,
        left: int = 0,
        right: int = 0,
        groups: int = 1,
        strict: bool = False,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.above, self.left, self.right, self.stride = above, left, right, stride
        self.in_features, self.out_features = in_features, out_features
        self.in_slices, self.out_slices = group_slices(in_features, groups), group_slices(out_features, groups)
        plain = nn.Conv2d(in_features, out_features, (above + 1, left + 1 + right))
        assert plain.bias is not None
        self.weight, self.bias = plain.weight, plain.bias
        mask = torch.ones_like(plain.weight)
        mask[:, :, above, left + 1 :] = 0
        for g, outputs in enumerate(self.out_slices):
            for h, inputs in enumerate(self.in_slices):
                mask[outputs, inputs, above, left] = float(h < g if strict else h <= g)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, in_features, H, W] to [B, out_features, ⌈H/stride⌉, ⌈W/stride⌉]."""
        x = pad(x, (self.left, self.right, self.above, 0))
        return conv2d(x, self.masked_weight(), self.bias, self.stride)

    def masked_weight(self) -> Tensor:
        """Returns the weights, those that are masked being 0, [out_features, in_features, above + 1, columns]."""
        return self.weight * self.mask
