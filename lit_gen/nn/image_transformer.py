r"""A transformer over the positions of an image: each attends to those before it.

.. math:: \mathrm{attention}(Q, K, V)_n = \sum_{m \le n} \mathrm{softmax}_m \! \left( q_n^T k_m / \sqrt{d} \right) v_m
"""

__all__ = ["ImageTransformer"]

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from lit_gen.contracts import Shape
from lit_gen.nn.causal_network import CausalNetwork, Stepper


class ImageTransformer(CausalNetwork):
    r"""Creates a transformer whose sequence is all positions of an image: its pixels by rows, each group by group.

    What enters at a position is what stands at the one before it, a start token at the first, and where it is: learned
    vectors of its row, its column and its group.

    References:
        | Attention Is All You Need (Vaswani et al., 2017)
        | https://arxiv.org/abs/1706.03762

        | Image Transformer (Parmar et al., 2018): images as sequences of channels
        | https://arxiv.org/abs/1802.05751

        | Generating Long Sequences with Sparse Transformers (Child et al., 2019), sections 5.1 to 5.3: norms first,
        | learned vectors of rows and columns, small first weights of what is added
        | https://arxiv.org/abs/1904.10509

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in.
        num_classes: The number of classes, None without labels. A class adds a vector to what enters at each position.
        features: The numbers at each position.
        heads: The heads of attention, which divide them.
        blocks: The blocks of attention and of a dense network of one hidden layer.
        expansion: How many times wider that layer is.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        features: int = 512,
        heads: int = 4,
        blocks: int = 12,
        expansion: int = 4,
    ) -> None:
        super().__init__(input_shape, num_outputs, groups)
        if features % heads:
            raise ValueError(f"{features} features cannot be divided by {heads}, the heads")
        planes, height, width = input_shape
        self.token = nn.Linear(planes // groups, features)
        self.start = nn.Parameter(0.02 * torch.randn(features))
        self.row = nn.Parameter(0.02 * torch.randn(height, 1, 1, features))
        self.column = nn.Parameter(0.02 * torch.randn(width, 1, features))
        self.group = nn.Parameter(0.02 * torch.randn(groups, features)) if groups > 1 else None
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, features)
        self.blocks = nn.ModuleList(_Block(features, heads, expansion, blocks) for _ in range(blocks))
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, num_outputs // groups)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        _, height, width = self.input_shape
        planes = x.unflatten(1, (self.groups, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)  # [B, HWG, P/G]
        before = self.token(planes[:, :-1])
        start = self.start.to(before.dtype).expand(len(x), 1, -1)
        h = torch.cat([start, before], 1) + self.places(label)
        for block in self.blocks:
            h = block(h)
        theta = self.head(self.norm(h)).unflatten(1, (height, width, self.groups))
        return theta.permute(0, 3, 4, 1, 2).flatten(1, 2)

    def places(self, label: Tensor | None) -> Tensor:
        """Returns what is added at each position, [B or 1, HWG, features]."""
        where = self.row + self.column
        if self.group is not None:
            where = where + self.group
        where = where.flatten(0, 2)[None]
        return where if self.embedding is None else where + self.embedding(label)[:, None]

    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        return _TransformerStepper(self, num, label)


class _Block(nn.Module):
    """h + attention(norm(h)), and of that h + dense(norm(h))."""

    def __init__(self, features: int, heads: int, expansion: int, blocks: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.mixed = nn.Linear(features, features)
        self.inner, self.outer = nn.Linear(features, expansion * features), nn.Linear(expansion * features, features)
        for layer in (self.mixed, self.outer):  # with blocks added up, what is added is as large as in one block
            layer.weight.data /= (2 * blocks) ** 0.5

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.parts(h)
        return self.rest(h, scaled_dot_product_attention(q, k, v, is_causal=True))

    def parts(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns queries, keys and values of positions [B, N, features], each [B, heads, N, d]."""
        q, k, v = self.qkv(self.first(h)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return q, k, v

    def rest(self, h: Tensor, attended: Tensor) -> Tensor:
        """Returns what positions [B, N, features] become with what they attended to, [B, heads, N, d]."""
        h = h + self.mixed(attended.transpose(1, 2).flatten(2))
        dense: Tensor = self.outer(gelu(self.inner(self.second(h))))
        return h + dense


class _TransformerStepper(Stepper):
    """Keeps keys and values of each block, of all positions so far."""

    @torch.no_grad()
    def __init__(self, network: ImageTransformer, num: int, label: Tensor | None) -> None:
        self._network, self._blocks = network, [block for block in network.blocks if isinstance(block, _Block)]
        self._places = network.places(label).expand(num, -1, -1)
        features = network.start.shape[0]
        heads = self._blocks[0].heads if self._blocks else 1
        size = (len(self._blocks), 2, num, heads, self._places.shape[1], features // heads)
        self._kept = network.start.new_zeros(size)
        self._token = network.start.expand(num, -1)
        self._n = 0

    @torch.no_grad()
    def theta(self) -> Tensor:
        h, n = (self._token + self._places[:, self._n])[:, None], self._n
        for block, (keys, values) in zip(self._blocks, self._kept, strict=True):
            q, keys[:, :, n : n + 1], values[:, :, n : n + 1] = block.parts(h)
            h = block.rest(h, scaled_dot_product_attention(q, keys[:, :, : n + 1], values[:, :, : n + 1]))
        theta: Tensor = self._network.head(self._network.norm(h[:, 0]))
        return theta

    @torch.no_grad()
    def put(self, planes: Tensor) -> None:
        self._token = self._network.token(planes)
        self._n += 1
