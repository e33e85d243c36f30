"""Layers of PixelCNN++: gated residual blocks of shifted convolutions, and what halves and doubles maps."""

__all__ = ["GatedBlock", "Upsampling", "concat_elu", "gated_sum"]

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, elu

from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.downward_convolution import DownwardConvolution
from lit_gen.nn.weight_norm import normalised

_SMALL = 0.1  # what a block adds at the start, as in the authors' own code


def concat_elu(x: Tensor) -> Tensor:
    """Maps [B, C, ...] to ELUs of x and of −x, [B, 2C, ...]."""
    return elu(torch.cat([x, -x], dim=1))


class GatedBlock(nn.Module):
    r"""Creates a residual block, x + a σ(b), with (a, b) two shifted convolutions of x and 1×1 ones of maps beside it.

    References:
        | PixelCNN++ (Salimans et al., 2017), section 2
        | https://arxiv.org/abs/1701.05517

    Arguments:
        features: The maps F.
        downward: Whether the convolutions see rows above with their own, rather than what is above and to the left.
        beside: How many maps there are beside x.
        num_classes: The number of classes, None without labels. A class adds a bias.
        dropout: The probability with which a map's number is dropped between the convolutions.
    """

    def __init__(self, features: int, downward: bool, beside: int, num_classes: int | None, dropout: float) -> None:
        super().__init__()
        wide = 2 * features
        if downward:
            self.first: nn.Module = normalised(DownwardConvolution(wide, features, 1, 1))
            self.second: nn.Module = normalised(DownwardConvolution(wide, wide, 1, 1), size=_SMALL)
        else:
            self.first = normalised(CausalConvolution(wide, features, above=1, left=1))
            self.second = normalised(CausalConvolution(wide, wide, above=1, left=1), size=_SMALL)
        self.beside = nn.ModuleList(normalised(nn.Conv2d(wide, features, 1)) for _ in range(beside))
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, wide)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, *beside: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps x and the maps beside it, [B, F, H, W] each, and labels [B] to [B, F, H, W]."""
        h = self.first(concat_elu(x))
        for layer, other in zip(self.beside, beside, strict=True):
            h = h + layer(concat_elu(other))
        h = self.second(self.dropout(concat_elu(h)))
        if self.embedding is not None:
            h = h + self.embedding(label)[:, :, None, None]
        return gated_sum(x, h)


def gated_sum(x: Tensor, wide: Tensor) -> Tensor:
    """Returns x + a σ(b) for wide maps (a, b)."""
    a, b = wide.chunk(2, dim=1)
    return x + a * b.sigmoid()


class Upsampling(nn.Module):
    """Creates a transposed convolution of stride 2 whose output in rows 2i and 2i + 1 comes from row i alone.

    Arguments:
        features: The maps F, in and out.
        side: The columns of input to the left and to the right that an output may see: 1, or 0 for what must not see
            any.
    """

    def __init__(self, features: int, side: int) -> None:
        super().__init__()
        plain = nn.ConvTranspose2d(features, features, (2, 2 + side))
        assert plain.bias is not None
        self.weight, self.bias, self.side = plain.weight, plain.bias, side

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps [B, F, ⌈H/2⌉, ⌈W/2⌉] to [B, F, H, W], size being (H, W)."""
        y = conv_transpose2d(x, self.weight, self.bias, stride=2)
        return y[:, :, : size[0], self.side : self.side + size[1]]
