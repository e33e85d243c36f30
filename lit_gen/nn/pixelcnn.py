"""PixelCNN: masked convolutions with residual connections."""

__all__ = ["PixelCNN"]

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.contracts import Shape
from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.raster_stepper import RasterStepper
from lit_gen.nn.row_cache import RowCache


class PixelCNN(CausalNetwork):
    r"""Creates the PixelCNN: a 7×7 convolution with mask A, residual blocks of 3×3 ones with mask B, two 1×1 ones.

    It does not see all that precedes a pixel: the kernels' shape leaves a blind spot to the right above it.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), table 1 and figure 5
        | https://arxiv.org/abs/1601.06759

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in.
        num_classes: The number of classes, None without labels. A class adds a bias to the first layer's maps.
        features: The maps h within blocks; between them there are 2h.
        blocks: The residual blocks.
        first_kernel_size: The odd size of the first kernel.
        head_features: The maps of the 1×1 convolutions before the last, 2h by default.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        features: int = 16,
        blocks: int = 7,
        first_kernel_size: int = 7,
        head_features: int | None = None,
    ) -> None:
        super().__init__(input_shape, num_outputs, groups)
        if first_kernel_size < 3 or first_kernel_size % 2 == 0:
            raise ValueError(f"first_kernel_size is {first_kernel_size}, and must be odd and at least 3")
        wide, r = 2 * features, first_kernel_size // 2
        head = head_features or wide
        self.first = CausalConvolution(input_shape[0], wide, r, r, r, groups, strict=True)
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, wide)
        self.blocks = nn.ModuleList(_Block(features, groups) for _ in range(blocks))
        self.head = nn.ModuleList(
            [CausalConvolution(wide, head, groups=groups), CausalConvolution(head, num_outputs, groups=groups)]
        )

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        h = self.first(x)
        if self.embedding is not None:
            h = h + self.embedding(label)[:, :, None, None]
        for block in self.blocks:
            h = block(h)
        for layer in self.head:
            h = layer(relu(h))
        return h

    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        return _PixelCNNStepper(self, num, label)


class _Block(nn.Module):
    """h + 1×1(relu(3×3(relu(1×1(relu(h)))))), of 2h maps, h of them within."""

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.narrow = CausalConvolution(2 * features, features, groups=groups)
        self.middle = CausalConvolution(features, features, 1, 1, 1, groups)
        self.wide = CausalConvolution(features, 2 * features, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.wide(relu(self.middle(relu(self.narrow(relu(x))))))


class _PixelCNNStepper(RasterStepper):
    @torch.no_grad()
    def __init__(self, network: PixelCNN, num: int, label: Tensor | None) -> None:
        super().__init__(network)
        width = network.input_shape[2]
        self._first = RowCache(network.first, num, width)
        self._slices = network.first.out_slices
        self._embedded = None if network.embedding is None else network.embedding(label)
        self._blocks = [
            [RowCache(layer, num, width) for layer in block.children()]  # type: ignore[arg-type]
            for block in network.blocks
        ]
        self._head = [RowCache(layer, num, width) for layer in network.head]  # type: ignore[arg-type]

    def numbers(self, row: int, column: int, group: int) -> Tensor:
        h = self._first.read(column, group)
        if self._embedded is not None:
            h = h + self._embedded[:, self._slices[group]]
        for block in self._blocks:
            inner = h
            for layer in block:
                inner = layer.step(column, group, relu(inner))
            h = h + inner
        for layer in self._head:
            h = layer.step(column, group, relu(h))
        return h

    def take(self, row: int, column: int, group: int, planes: Tensor) -> None:
        self._first.write(column, group, planes)

    def end_row(self, row: int) -> None:
        for cache in (self._first, *(cache for block in self._blocks for cache in block)):
            cache.end_row()
            cache.begin_row()
