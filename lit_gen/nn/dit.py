"""The transformer of diffusion models, for images of any size."""

__all__ = ["DiT"]

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, pixel_shuffle, scaled_dot_product_attention, silu

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.time_embedding import TimeEmbedding, waves

_WAVES = 256  # the numbers that a time is told by before dense layers make a vector of it
_EPSILON = 1e-6  # of norms


class DiT(nn.Module):
    r"""Creates a transformer over an image's patches that is told the time and the class by its norms, "adaLN-Zero".

    With e the vector of time and class, and gains γ, biases β and gates α linear in SiLU(e), 0 at the start,

    .. math:: h \leftarrow h + \alpha_1 \, \mathrm{attention}\big((1 + \gamma_1) \, \mathrm{norm}(h) + \beta_1\big),
        \quad h \leftarrow h + \alpha_2 \, \mathrm{dense}\big((1 + \gamma_2) \, \mathrm{norm}(h) + \beta_2\big)

    so each block starts as the identity; the last layer starts at zero. Where patches lie is told by sines and cosines
    of their rows and columns. Images that patches do not divide are padded by mirroring and cropped back.

    With its defaults it is DiT-S/4; widths of 384, 768, 1024 and 1152 with 6, 12, 16 and 16 heads and depths of 12,
    12, 24 and 28 are S, B, L and XL.

    References:
        | Scalable Diffusion Models with Transformers (Peebles & Xie, 2023), section 3.2, table 1
        | https://arxiv.org/abs/2212.09748

    Arguments:
        image_shape: The images' channels, height and width, whatever they are.
        num_classes: The number of classes, None if there are none.
        num_outputs: The channels of what is said of an image; as many as it has by default.
        patch_size: The side of patches, in pixels; the cost falls with its fourth power where attention dominates.
        width: The numbers of each patch.
        heads: The heads of attention, which divide them.
        depth: The number of blocks of attention and of a dense network of one hidden layer.
        expansion: How many times wider that layer is.
    """

    positions: Tensor

    def __init__(
        self,
        image_shape: Shape,
        num_classes: int | None = None,
        num_outputs: int | None = None,
        patch_size: int = 4,
        width: int = 384,
        heads: int = 6,
        depth: int = 12,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        if min(patch_size, width, heads, depth, expansion) < 1:
            raise UserError("DiT's patch_size, width, heads, depth and expansion must be at least 1")
        if width % heads:
            raise UserError(f"DiT's width is {width}, and must be a multiple of its heads, {heads}")
        self.image_shape, self.num_classes, self.patch_size = tuple(image_shape), num_classes, patch_size
        rows, columns = (-(-side // patch_size) for side in image_shape[1:])
        # Not of the state: they follow from the sizes.
        self.register_buffer("positions", _positions(rows, columns, width), persistent=False)
        self.embedding = TimeEmbedding(_WAVES, width, num_classes)
        self.first = nn.Conv2d(image_shape[0], width, patch_size, stride=patch_size)
        self.blocks = nn.ModuleList(_Block(width, heads, expansion) for _ in range(depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.last = nn.Linear(width, patch_size**2 * (num_outputs or image_shape[0]))
        self._initialise()

    def _initialise(self) -> None:
        """Draws the first weights as the authors' code does."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight.data.flatten(1))
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in self.embedding.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=0.02)
        blocks = [block for block in self.blocks if isinstance(block, _Block)]
        for zero in (self.last, self.modulation, *(block.modulation for block in blocks)):
            nn.init.zeros_(zero.weight)

    def forward(self, x: Tensor, c: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps images [B, C, H, W], conditions [B] and labels [B] to [B, num_outputs, H, W]."""
        assert x.shape[1:] == self.image_shape
        e = silu(self.embedding(c, label))
        patches = self.first(padded(x, self.patch_size))
        h = patches.flatten(2).mT + self.positions
        for block in self.blocks:
            h = block(h, e)
        gain, bias = self.modulation(e)[:, None].chunk(2, dim=2)
        maps = self.last(_modulated(h, gain, bias)).mT.unflatten(2, patches.shape[2:])
        return cropped(pixel_shuffle(maps, self.patch_size), *x.shape[2:])


class _Block(nn.Module):
    """Attention and a dense network, each added by a gate that is 0 at the start."""

    def __init__(self, features: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(features, 6 * features)
        self.qkv, self.mixed = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.inner, self.outer = nn.Linear(features, expansion * features), nn.Linear(expansion * features, features)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Maps patches [B, N, features] and vectors [B, features] to patches."""
        gain1, bias1, gate1, gain2, bias2, gate2 = self.modulation(e)[:, None].chunk(6, dim=2)
        # [B, N, 3, heads, d] → three of [B, heads, N, d]
        qkv = self.qkv(_modulated(h, gain1, bias1)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        h = h + gate1 * self.mixed(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        dense = self.outer(gelu(self.inner(_modulated(h, gain2, bias2)), approximate="tanh"))
        return h + gate2 * dense


def _modulated(h: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return layer_norm(h, h.shape[-1:], eps=_EPSILON) * (1 + gain) + bias


def _positions(rows: int, columns: int, features: int) -> Tensor:
    """Returns what tells patches apart by where they lie, rows in the first half of the numbers, [N, features]."""
    half = features // 2
    row, column = waves(torch.arange(rows), half), waves(torch.arange(columns), features - half)
    both = torch.cat([row[:, None].expand(-1, columns, -1), column.expand(rows, -1, -1)], dim=2)
    return both.flatten(0, 1)
