r"""Gated PixelCNN: a vertical stack sees the rows above, a horizontal one its own row and the vertical one.

.. math:: y = \tanh(W_f * x + V_f^T c + U_f * s) \odot \sigma(W_g * x + V_g^T c + U_g * s)

with a class c and maps s, if there are such.
"""

__all__ = ["GatedPixelCNN"]

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.contracts import Shape
from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.causal_network import Stepper
from lit_gen.nn.context_network import ContextNetwork
from lit_gen.nn.downward_convolution import DownwardCache, DownwardConvolution
from lit_gen.nn.raster_stepper import RasterStepper
from lit_gen.nn.row_cache import RowCache


class GatedPixelCNN(ContextNetwork):
    r"""Creates the Gated PixelCNN, which has no blind spot.

    References:
        | Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), figure 2, equations (2)
          to (5)
        | https://arxiv.org/abs/1606.05328

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in.
        num_classes: The number of classes, None without labels. A class adds a bias to every layer's maps.
        context_features: The maps beside the image, which are added to every layer's; see `ContextNetwork`.
        features: The maps p of each stack; the groups divide them.
        blocks: The layers of both stacks.
        kernel_size: The odd size n of their kernels.
        first_kernel_size: That of the first layer.
        head_features: The maps of the 1×1 convolution before the last, as many as the stacks have by default.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        context_features: int | None = None,
        features: int = 384,
        blocks: int = 20,
        kernel_size: int = 5,
        first_kernel_size: int = 7,
        head_features: int | None = None,
    ) -> None:
        super().__init__(input_shape, num_outputs, groups, context_features)
        for name, size in {"kernel_size": kernel_size, "first_kernel_size": first_kernel_size}.items():
            if size < 3 or size % 2 == 0:
                raise ValueError(f"{name} is {size}, and must be odd and at least 3")
        if features % groups:
            raise ValueError(f"{features} features cannot be divided by {groups}, the groups of channels")
        reaches = [first_kernel_size // 2, *[kernel_size // 2] * (blocks - 1)]
        self.layers = nn.ModuleList(
            _Layer(features, groups, num_classes, context_features, reach, input_shape[0] if i == 0 else None)
            for i, reach in enumerate(reaches)
        )
        head = head_features or features
        self.head = nn.ModuleList(
            [CausalConvolution(features, head, groups=groups), CausalConvolution(head, num_outputs, groups=groups)]
        )

    def forward(self, x: Tensor, label: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        self.check_context(context)
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, label, context)
        for layer in self.head:
            h = layer(relu(h))
        return h

    def stepper(self, num: int, label: Tensor | None = None, context: Tensor | None = None) -> Stepper:
        self.check_context(context)
        return _GatedStepper(self, num, label, context)


class _Layer(nn.Module):
    """One layer of both stacks; maps that gates apply to hold for each group what tanh and what σ is of."""

    def __init__(
        self,
        features: int,
        groups: int,
        num_classes: int | None,
        context_features: int | None,
        reach: int,
        planes: int | None,
    ) -> None:
        super().__init__()
        first, wide = planes is not None, 2 * features
        in_features = features if planes is None else planes
        self.groups, self.residual = groups, not first
        self.vertical = DownwardConvolution(in_features, wide, reach, reach, strict=first)
        self.horizontal = CausalConvolution(in_features, wide, left=reach, groups=groups, strict=first)
        self.across = nn.Conv2d(wide, wide, 1)  # the vertical stack knows only rows above, so that nothing is masked
        self.out = CausalConvolution(features, features, groups=groups)
        # V_f and V_g for both stacks, and U_f and U_g.
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, 2 * wide)
        self.context = None if context_features is None else nn.Conv2d(context_features, 2 * wide, 1, bias=False)

    def forward(
        self, v: Tensor, h: Tensor, label: Tensor | None, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        wide, more = self.downward(self.vertical(v), label, context)
        inner = self.out(self.gated(self.horizontal(h) + more))
        return self.gated(wide), h + inner if self.residual else inner

    def downward(self, wide: Tensor, label: Tensor | None, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the vertical maps that gates apply to, [B, 2p, H, W], and what they add to the horizontal ones."""
        more = self.across(wide)
        told = [] if self.embedding is None else [self.embedding(label)[:, :, None, None]]
        told += [] if self.context is None else [self.context(context)]
        for maps in told:
            vertical, horizontal = maps.chunk(2, dim=1)
            wide, more = wide + vertical, more + horizontal
        return wide, more

    def gated(self, wide: Tensor) -> Tensor:
        """Maps [B, 2p, ...] to [B, p, ...]."""
        f, g = wide.unflatten(1, (self.groups, 2, -1)).unbind(2)
        return (f.tanh() * g.sigmoid()).flatten(1, 2)  # (2), (4), (5)


class _GatedStepper(RasterStepper):
    """The vertical stack is computed row by row, the horizontal one position by position."""

    @torch.no_grad()
    def __init__(self, network: GatedPixelCNN, num: int, label: Tensor | None, context: Tensor | None) -> None:
        super().__init__(network)
        planes, self._height, width = network.input_shape
        self._label, self._context = label, context
        self._layers: list[_Layer] = list(network.layers)  # type: ignore[arg-type]
        self._vertical = [DownwardCache(layer.vertical, num, width) for layer in self._layers]
        self._horizontal = [RowCache(layer.horizontal, num, width) for layer in self._layers]
        self._out = [RowCache(layer.out, num, width) for layer in self._layers]
        self._head = [RowCache(layer, num, width) for layer in network.head]  # type: ignore[arg-type]
        # The row that is being drawn, of which the vertical stack is to know in the next one.
        self._drawn = next(network.parameters()).new_zeros(num, planes, width)
        self._by_group = self._drawn.unflatten(1, (network.groups, -1))
        self._begin_row(0)

    def _begin_row(self, row: int) -> None:
        """Computes the vertical stack of a row, and what it adds to the horizontal one."""
        v, context = self._drawn, None if self._context is None else self._context[:, :, row : row + 1]
        for layer, vertical, horizontal in zip(self._layers, self._vertical, self._horizontal, strict=True):
            wide, more = layer.downward(vertical.step(v)[:, :, None], self._label, context)
            horizontal.begin_row(more.squeeze(2))
            v = layer.gated(wide).squeeze(2)

    def numbers(self, row: int, column: int, group: int) -> Tensor:
        h = self._gated(self._horizontal[0].read(column, group))
        h = self._out[0].step(column, group, h)
        for horizontal, out in zip(self._horizontal[1:], self._out[1:], strict=True):
            h = h + out.step(column, group, self._gated(horizontal.step(column, group, h)))
        for layer in self._head:
            h = layer.step(column, group, relu(h))
        return h

    @staticmethod
    def _gated(wide: Tensor) -> Tensor:
        f, g = wide.chunk(2, dim=1)
        return f.tanh() * g.sigmoid()

    def take(self, row: int, column: int, group: int, planes: Tensor) -> None:
        self._horizontal[0].write(column, group, planes)
        self._by_group[:, group, :, column] = planes

    def end_row(self, row: int) -> None:
        if row + 1 < self._height:
            self._begin_row(row + 1)
