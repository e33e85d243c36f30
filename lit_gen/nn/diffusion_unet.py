"""The U-Net of diffusion models, for images of any size."""

__all__ = ["DiffusionUNet"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.diffusion_blocks import Doubling, MapAttention, TimedBlock, group_norm, zeroed
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.sizes import nearest_maps
from lit_gen.nn.time_embedding import TimeEmbedding


class _Stage(nn.Module):
    """A residual block, and attention where that is wanted."""

    def __init__(self, inputs: int, outputs: int, time_dim: int, dropout: float, attended: bool) -> None:
        super().__init__()
        self.block = TimedBlock(inputs, outputs, time_dim, dropout)
        self.attention = MapAttention(outputs) if attended else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        return self.attention(self.block(x, e))


class DiffusionUNet(nn.Module):
    r"""Creates a U-Net of residual blocks that are told the time, with self-attention at some sizes.

    Maps are halved by 3×3 convolutions with stride 2 and doubled by repetition and 3×3; every map of the way down is
    appended to one of the way up. Images whose sides cannot be halved often enough are padded by mirroring and cropped
    back. The last layer starts at zero.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), appendix B
        | https://arxiv.org/abs/2006.11239

        | Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol, 2021), section 3
        | https://arxiv.org/abs/2105.05233

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        num_classes: The number of classes, None if there are none.
        num_outputs: The channels of what is said of an image; as many as it has by default.
        features: The channels of the finest maps.
        multipliers: How many times as many each size has, from the finest to the coarsest.
        blocks: The residual blocks at each size on the way down; on the way up there is one more.
        attention: Shorter sides of maps; the size nearest to each gets self-attention.
        dropout: The share of numbers in each block that dropout sets to 0.
    """

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int | None = None,
        features: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (16,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if features < 1 or blocks < 1 or not multipliers or min(multipliers) < 1:
            raise UserError("DiffusionUNet's features, blocks and multipliers must be at least 1")
        self.image_shape, self.num_classes = tuple(image_shape), num_classes
        self.multiple = 2 ** (len(multipliers) - 1)
        time_dim, widths = 4 * features, [m * features for m in multipliers]
        sides = [-(-side // self.multiple) * self.multiple for side in image_shape[1:]]
        sizes = [(sides[0] >> i, sides[1] >> i) for i in range(len(widths))]
        attended = nearest_maps(sizes, attention)
        self.embedding = TimeEmbedding(features, time_dim, num_classes)
        self.first = nn.Conv2d(image_shape[0], features, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        kept, width = [features], features
        for i, outputs in enumerate(widths):
            for _ in range(blocks):
                self.down.append(_Stage(width, outputs, time_dim, dropout, i in attended))
                width = outputs
                kept.append(width)
            if i + 1 < len(widths):
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = nn.ModuleList(
            [_Stage(width, width, time_dim, dropout, bool(attention)), _Stage(width, width, time_dim, dropout, False)]
        )
        for i, outputs in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(_Stage(width + kept.pop(), outputs, time_dim, dropout, i in attended))
                width = outputs
            if i:
                self.up.append(Doubling(width))
        assert not kept
        self.norm = group_norm(width)
        self.last = zeroed(nn.Conv2d(width, num_outputs or image_shape[0], 3, padding=1))

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W], conditions [B] and labels [B] to [B, num_outputs, H, W]."""
        assert x.shape[1] == self.image_shape[0]
        e = self.embedding(c, label)
        h = self.first(padded(x, self.multiple))
        kept = [h]
        for layer in self.down:
            h = layer(h, e) if isinstance(layer, _Stage) else layer(h)
            kept.append(h)
        for layer in self.middle:
            h = layer(h, e)
        for layer in self.up:
            h = layer(torch.cat([h, kept.pop()], dim=1), e) if isinstance(layer, _Stage) else layer(h)
        return cropped(self.last(silu(self.norm(h))), *x.shape[2:])
