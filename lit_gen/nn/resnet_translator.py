"""The residual generator of CycleGAN and CUT, for images of any size."""

__all__ = ["Border", "ResNetTranslator"]

import itertools
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.norms import Norm, initialise, make_norm
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.sizes import doubled_widths
from lit_gen.nn.upsampling import Upsampling, doubling

Border: TypeAlias = Literal["reflect", "zeros"]
_HALVINGS, _LEAST = 2, 8  # at 8 pixels the blocks' map has 2, of which one can be mirrored


class ResNetTranslator(nn.Module):
    r"""Creates a residual translation network: two halvings, residual blocks, two doublings.

    Beyond their borders maps are mirrored, but for the layers that halve and double. Images whose sides are no
    multiples of 4, or below 8, are padded by mirroring and cropped back.

    References:
        | Perceptual Losses for Real-Time Style Transfer and Super-Resolution (Johnson, Alahi & Fei-Fei, 2016)
        | https://arxiv.org/abs/1603.08155

        | Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks
        | (Zhu et al., 2017), appendix 7.2
        | https://arxiv.org/abs/1703.10593

    Arguments:
        source_shape: The source's channels, height and width.
        image_shape: The images' channels, height and width.
        features: The channels of the finest map; each of the two coarser ones has twice as many.
        max_features: The most channels that any map gets.
        blocks: The residual blocks; by default the paper's 6 for images of up to 128 pixels, 9 above.
        dropout: The share of each block's inner map that dropout sets to 0.
        norm: ``instance``, ``batch`` or ``none``.
        upsampling: ``transposed`` convolutions, or ``nearest`` pixels and a convolution.
        kernel: The side of the kernels that halve and, if transposed, double: 3 or 4.
        border: What is beyond a map's border: ``reflect``, the map mirrored, or ``zeros``.

    Attributes:
        encoded_channels: The channels of the maps that `encode` gives.
    """

    def __init__(
        self,
        source_shape: Shape,
        image_shape: Shape,
        features: int = 64,
        max_features: int = 256,
        blocks: int | None = None,
        dropout: float = 0.0,
        norm: Norm = "instance",
        upsampling: Upsampling = "transposed",
        kernel: Literal[3, 4] = 3,
        border: Border = "reflect",
    ) -> None:
        super().__init__()
        if kernel not in (3, 4) or border not in ("reflect", "zeros"):
            raise UserError(f"kernel is {kernel} and border '{border}'; they can be 3 or 4, and 'reflect' or 'zeros'")
        blocks = (6 if min(image_shape[1:]) <= 128 else 9) if blocks is None else blocks
        if blocks < 1:
            raise UserError(f"ResNetTranslator's blocks are {blocks}, and must be at least 1")
        if not 0 <= dropout < 1:
            raise UserError(f"ResNetTranslator's dropout is {dropout}, and must be in [0, 1)")
        bias, widths = norm == "none", doubled_widths(features, max_features, _HALVINGS + 1)
        first = nn.Conv2d(source_shape[0], widths[0], 7, padding=3, padding_mode=border, bias=bias)
        self.first = nn.Sequential(first, make_norm(norm, widths[0]), nn.ReLU())
        self.halvings, self.norms, self.doublings = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for fine, coarse in itertools.pairwise(widths):
            self.halvings.append(nn.Conv2d(fine, coarse, kernel, stride=2, padding=1, bias=bias))
            self.norms.append(make_norm(norm, coarse))
            up = nn.Sequential(doubling(upsampling, coarse, fine, kernel, bias), make_norm(norm, fine), nn.ReLU())
            self.doublings.insert(0, up)
        self.blocks = nn.ModuleList([_Block(widths[-1], norm, dropout, border) for _ in range(blocks)])
        self.last = nn.Conv2d(widths[0], image_shape[0], 7, padding=3, padding_mode=border)
        self._encoding_blocks = sorted({1, min(5, blocks)})
        self.encoded_channels = (source_shape[0], *widths[1:], *[widths[-1]] * len(self._encoding_blocks))
        initialise(self)

    def forward(self, source: Tensor) -> Tensor:
        """Maps sources [B, Cs, H, W] of any height and width to images in [−1, 1], shape [B, C, H, W]."""
        x = self.first(padded(source, 2**_HALVINGS, _LEAST))
        for halving, norm in zip(self.halvings, self.norms, strict=True):
            x = torch.relu(norm(halving(x)))
        for layer in (*self.blocks, *self.doublings):
            x = layer(x)
        return torch.tanh(cropped(self.last(x), *source.shape[2:]))

    def encode(self, source: Tensor) -> list[Tensor]:
        """Returns the maps that CUT compares: the source's pixels, both halving convolutions, blocks 1 and 5.

        Arguments:
            source: Sources, shape [B, Cs, H, W].

        Returns:
            Maps [B, C_l, H_l, W_l], their channels C_l those of `encoded_channels`.
        """
        x = padded(source, 2**_HALVINGS, _LEAST)
        maps, x = [x], self.first(x)
        for halving, norm in zip(self.halvings, self.norms, strict=True):
            maps.append(halving(x))
            x = torch.relu(norm(maps[-1]))
        for i, block in enumerate(self.blocks[: self._encoding_blocks[-1]], start=1):
            x = block(x)
            maps += [x] if i in self._encoding_blocks else []
        return maps


class _Block(nn.Module):
    """Creates a residual block: 3×3, norm, ReLU, dropout, 3×3, norm; nothing after the sum."""

    def __init__(self, features: int, norm: Norm, dropout: float, border: Border) -> None:
        super().__init__()
        first, second = (
            nn.Conv2d(features, features, 3, padding=1, padding_mode=border, bias=norm == "none") for _ in range(2)
        )
        layers = [first, make_norm(norm, features), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers, second, make_norm(norm, features))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, H, W] to the same shape."""
        return x + self.layers(x)
