"""PixelRNN: LSTM layers with residual connections."""

__all__ = ["PixelRNN"]

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.contracts import Shape
from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.diagonal_bilstm import DiagonalBiLSTM
from lit_gen.nn.factories import RecurrentLayerFactory
from lit_gen.nn.raster_stepper import RasterStepper
from lit_gen.nn.recurrent_layer import RecurrentLayer
from lit_gen.nn.row_cache import RowCache


class PixelRNN(CausalNetwork):
    r"""Creates a PixelRNN: a 7×7 convolution with mask A, LSTM layers with residual connections, two 1×1 convolutions.

    .. math:: x \leftarrow x + W \, h(x)

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), table 1 and figure 5
        | https://arxiv.org/abs/1601.06759

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in.
        num_classes: The number of classes, None without labels. A class adds a bias to the first layer's maps.
        layer: Makes an LSTM layer.
        features: The states h of an LSTM, which the groups divide; between the layers there are 2h maps.
        blocks: The LSTM layers.
        kernel_size: The odd size of the first kernel.
        head_features: The maps of the 1×1 convolution before the last, 2h by default.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        layer: RecurrentLayerFactory = DiagonalBiLSTM,
        features: int = 16,
        blocks: int = 7,
        kernel_size: int = 7,
        head_features: int | None = None,
    ) -> None:
        super().__init__(input_shape, num_outputs, groups)
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, and must be odd and at least 3")
        if features % groups:
            raise ValueError(f"{features} features cannot be divided by {groups}, the groups of channels")
        wide, r = 2 * features, kernel_size // 2
        head = wide if head_features is None else head_features
        self.first = CausalConvolution(input_shape[0], wide, r, r, r, groups, strict=True)
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, wide)
        self.layers = nn.ModuleList(
            layer(in_features=wide, features=features, planes=input_shape[0], groups=groups) for _ in range(blocks)
        )
        self.wide = nn.ModuleList(CausalConvolution(features, wide, groups=groups) for _ in range(blocks))
        self.head = nn.ModuleList(
            [CausalConvolution(wide, head, groups=groups), CausalConvolution(head, num_outputs, groups=groups)]
        )

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        planes, x = x, self.first(x)
        if self.embedding is not None:
            x = x + self.embedding(label)[:, :, None, None]
        for layer, wide in zip(self.layers, self.wide, strict=True):
            x = x + wide(layer(x, planes))
        for last in self.head:
            x = last(relu(x))
        return x

    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        return _PixelRNNStepper(self, num, label)


class _PixelRNNStepper(RasterStepper):
    @torch.no_grad()
    def __init__(self, network: PixelRNN, num: int, label: Tensor | None) -> None:
        super().__init__(network)
        width = network.input_shape[2]
        self._first = RowCache(network.first, num, width)
        self._slices = network.first.out_slices
        self._embedded = None if network.embedding is None else network.embedding(label)
        self._layers = []
        for layer, wide in zip(network.layers, network.wide, strict=True):
            assert isinstance(layer, RecurrentLayer) and isinstance(wide, CausalConvolution)
            self._layers.append((layer.steps(num, width), RowCache(wide, num, width)))
        self._planes = network.first.weight.new_zeros(width, num, network.input_shape[0])
        self._places = self._planes.unflatten(2, (network.groups, -1))
        self._head = [RowCache(layer, num, width) for layer in network.head]  # type: ignore[arg-type]

    def numbers(self, row: int, column: int, group: int) -> Tensor:
        x = self._first.read(column, group)
        if self._embedded is not None:
            x = x + self._embedded[:, self._slices[group]]
        for layer, wide in self._layers:
            x = x + wide.step(column, group, layer.step(column, group, x))
        for last in self._head:
            x = last.step(column, group, relu(x))
        return x

    def take(self, row: int, column: int, group: int, planes: Tensor) -> None:
        self._first.write(column, group, planes)
        self._places[column, :, group] = planes

    def end_row(self, row: int) -> None:
        self._first.end_row()
        self._first.begin_row()
        for layer, _ in self._layers:
            layer.end_row(self._planes)
