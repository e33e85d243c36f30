"""Row LSTM: each row's states come from those of the row above, all of a row at once."""

__all__ = ["RowLSTM"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.recurrent_layer import RecurrentLayer, RecurrentSteps, lstm
from lit_gen.nn.row_cache import RowCache


class RowLSTM(RecurrentLayer):
    r"""Creates a Row LSTM, whose states see three columns of the row above, and so a triangle of all that precedes.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 3.1, equation (3)
        | https://arxiv.org/abs/1601.06759

    Arguments:
        in_features: The maps that come in, group after group.
        features: The states h at each position, group after group.
        planes: The planes of an image, for which it has no use.
        groups: The groups G, which divide both.
        kernel_size: The odd number k of columns that both convolutions have; that of the input is masked.
    """

    def __init__(self, in_features: int, features: int, planes: int, groups: int, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, and must be odd")
        self.features, self.groups = features, groups
        self.input_to_state = CausalConvolution(in_features, 4 * features, left=kernel_size // 2, groups=groups)
        bound = 1 / math.sqrt(features * kernel_size)
        self.state_to_state = nn.Parameter(torch.empty(4 * features, features, kernel_size).uniform_(-bound, bound))

    def forward(self, x: Tensor, planes: Tensor) -> Tensor:
        gates = self.input_to_state(x)
        num, _, _, width = gates.shape
        h = c = gates.new_zeros(num, self.features, width)
        rows = []
        for row in gates.unbind(2):
            h, c = lstm(row + self.over(h), c, -2, self.groups)
            rows.append(h)
        return torch.stack(rows, 2)

    def over(self, h: Tensor) -> Tensor:
        """Returns what the states h [B, features, W] of a row contribute to the gates of the next, [B, 4h, W]."""
        return conv1d(h, self.state_to_state, padding=self.state_to_state.shape[2] // 2)

    def steps(self, num: int, width: int) -> RecurrentSteps:
        return _RowSteps(self, num, width)


class _RowSteps(RecurrentSteps):
    def __init__(self, layer: RowLSTM, num: int, width: int) -> None:
        self._layer = layer
        self._inputs = RowCache(layer.input_to_state, num, width)
        self._slices = layer.input_to_state.out_slices
        self._states = [slice(s.start // 4, s.stop // 4) for s in self._slices]
        self._h, self._c = layer.state_to_state.new_zeros(2, num, layer.features, width).unbind()
        self._over = layer.over(self._h)

    def step(self, column: int, group: int, x: Tensor) -> Tensor:
        gates = self._inputs.step(column, group, x) + self._over[:, self._slices[group], column]
        states = self._states[group]
        # A cell is read once, for the one below it, which takes its place.
        h, self._c[:, states, column] = lstm(gates, self._c[:, states, column], -1)
        self._h[:, states, column] = h
        return h

    def end_row(self, planes: Tensor) -> None:
        self._over = self._layer.over(self._h)
