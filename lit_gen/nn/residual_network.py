"""The residual networks that differ only in how they are conditioned, normalised and initialised."""

__all__ = ["ResidualDecoder", "ResidualEncoder", "num_up_blocks"]

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.attention import SelfAttention
from lit_gen.nn.residual import DownBlock, NormFactory, UpBlock
from lit_gen.nn.sizes import doubled_widths, halvings, nearest_maps

_COARSEST = 7  # generators start from 4×4 at 32 or 128 pixels, from 6×6 at 48, from 7×7 at 28


def num_up_blocks(image_shape: Shape) -> int:
    """Returns how many blocks a `ResidualDecoder` of such images has."""
    return len(halvings(image_shape, _COARSEST)) - 1


class ResidualDecoder(nn.Module):
    r"""Creates what residual generators share: a linear layer, blocks that double the map, norm, ReLU, 3×3, tanh.

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        input_dim: The size of the vectors that the first map is made of.
        features: The channels at the image's size; each coarser map has twice as many.
        max_features: The most channels that any map gets.
        norms: What makes each block's normalisations, from the coarsest block to the finest.
        attention: Shorter sides of maps; the map nearest to each gets self-attention.
    """

    def __init__(
        self,
        image_shape: Shape,
        input_dim: int,
        features: int,
        max_features: int,
        norms: Sequence[NormFactory],
        attention: Sequence[int] = (),
    ) -> None:
        super().__init__()
        sizes = halvings(image_shape, _COARSEST)[::-1]
        assert len(norms) == len(sizes) - 1
        widths = doubled_widths(features, max_features, len(sizes))[::-1]
        self.first_shape = (widths[0], *sizes[0])
        self.linear = nn.Linear(input_dim, widths[0] * sizes[0][0] * sizes[0][1])
        attended = nearest_maps(sizes[1:], attention)
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleList()
        for i, norm in enumerate(norms):
            self.blocks.append(UpBlock(widths[i], widths[i + 1], sizes[i + 1], norm))
            self.attention.append(SelfAttention(widths[i + 1]) if i in attended else nn.Identity())
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], image_shape[0], 3, padding=1)

    def forward(self, z: Tensor, conditions: Sequence[Tensor | None]) -> Tensor:
        """Maps vectors [B, input_dim], and what each block is conditioned on, to images in [−1, 1], [B, C, H, W]."""
        x = self.linear(z).unflatten(1, self.first_shape)
        for block, attention, y in zip(self.blocks, self.attention, conditions, strict=True):
            x = attention(block(x, y))
        return torch.tanh(self.to_image(torch.relu(self.norm(x))))


class ResidualEncoder(nn.Module):
    r"""Creates what residual discriminators share: blocks that halve the map, some that do not, ReLU, pooling.

    Arguments:
        image_shape: The images' channels, height and width; height and width at least 8.
        features: The channels of the first block; each further one has twice as many.
        max_features: The most channels that any map gets.
        coarsest: Halving stops once the shorter side is at most this.
        final_blocks: The blocks after that.
        wide: Whether a block's first convolution has as many filters as its second, or as many as channels come in.
        norm: Makes a normalisation of a number of channels.
        attention: Shorter sides of maps; the map nearest to each gets self-attention.
        pooling: Whether the last map is summed or averaged over its positions.

    Attributes:
        features: The size F of what comes out.
    """

    def __init__(
        self,
        image_shape: Shape,
        features: int,
        max_features: int,
        coarsest: int,
        final_blocks: int,
        wide: bool,
        norm: NormFactory = nn.Identity,
        attention: Sequence[int] = (),
        pooling: Literal["sum", "mean"] = "sum",
    ) -> None:
        super().__init__()
        if final_blocks < 1:
            raise UserError(f"final_blocks is {final_blocks}, and must be at least 1")
        if pooling not in ("sum", "mean"):
            raise UserError(f"pooling is '{pooling}'; it can be 'sum' or 'mean'")
        sizes = halvings(image_shape, coarsest)[1:]
        halved = len(sizes)
        widths = doubled_widths(features, max_features, halved + 1)
        widths = [image_shape[0], *widths, *[widths[-1]] * (final_blocks - 1)]
        attended = nearest_maps(sizes or [image_shape[1:]], attention)
        self.image_shape, self.features, self.pooling = tuple(image_shape), widths[-1], pooling
        self.blocks, self.attention = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            hidden = outputs if wide or i == 0 else inputs
            self.blocks.append(DownBlock(inputs, outputs, hidden, i < halved, i == 0, norm))
            self.attention.append(SelfAttention(outputs) if i in attended else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Maps images in [−1, 1], shape [B, C, H, W], to features [B, F]."""
        assert x.shape[1:] == self.image_shape
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x))
        x = torch.relu(x)
        return x.sum((2, 3)) if self.pooling == "sum" else x.mean((2, 3))
