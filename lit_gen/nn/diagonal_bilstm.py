"""Diagonal BiLSTM: two LSTMs that start in an image's upper corners, all of a diagonal at once."""

__all__ = ["DiagonalBiLSTM"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.recurrent_layer import RecurrentLayer, RecurrentSteps, lstm
from lit_gen.nn.row_cache import RowCache


class DiagonalBiLSTM(RecurrentLayer):
    r"""Creates a Diagonal BiLSTM, which sees all that precedes a position, from its first layer on.

    A state comes from those beside and above it. In skewed maps, whose row i is moved by i columns, both are in the
    column before, from which a 2×1 convolution makes the next. The second LSTM does the same in the mirrored image; its
    states are moved down by one row, since they have seen what is right of a pixel, and added to those of the first.

    Nothing of mask A has seen a row's last pixel before the next row, at whose other end it would never be known. The
    second LSTM, all of whose states are moved down, therefore sees each pixel itself too, which is not in the paper.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 3.2, figure 3
        | https://arxiv.org/abs/1601.06759

    Arguments:
        in_features: The maps that come in, group after group.
        features: The states h at each position, group after group.
        planes: The planes of an image.
        groups: The groups G, which divide both.
    """

    def __init__(self, in_features: int, features: int, planes: int, groups: int) -> None:
        super().__init__()
        self.features, self.groups = features, groups
        self.input_to_state = nn.ModuleList(
            CausalConvolution(in_features, 4 * features, groups=groups) for _ in range(2)
        )
        self.pixel_to_state = nn.Conv2d(planes, 4 * features, 1, bias=False)
        bound = 1 / math.sqrt(2 * features)
        # Of the states beside (the first half) and above, for each of both directions.
        self.state_to_state = nn.Parameter(torch.empty(2, 2 * features, 4 * features).uniform_(-bound, bound))

    def forward(self, x: Tensor, planes: Tensor) -> Tensor:
        first, second = self.input_to_state
        gates = torch.stack([first(x), (second(x) + self.pixel_to_state(planes)).flip(3)])
        num, height, width = x.shape[0], x.shape[2], x.shape[3]
        order, counts = _diagonals(height, width, x.device)
        skewed = gates.flatten(3).permute(0, 3, 1, 2).index_select(1, order)  # [2, HW, B, 4h]
        h = c = gates.new_zeros(2, 0, num, self.features)
        highest, states = 0, []
        for s, diagonal in enumerate(skewed.split(counts, 1)):
            start = max(0, s - width + 1)
            h, c = (pad(state, (0, 0, 0, 0, 1, 1)) for state in (h, c))  # nothing beside or above
            above = start - highest
            beside = slice(above + 1, above + 1 + counts[s])
            before = torch.cat([h[:, beside], h[:, above : above + counts[s]]], 3)
            summed = torch.baddbmm(diagonal.flatten(1, 2), before.flatten(1, 2), self.state_to_state)
            h, c = lstm(summed.view_as(diagonal), c[:, beside], -1, self.groups)
            states.append(h)
            highest = start
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=x.device))
        found = torch.cat(states, 1).index_select(1, back).permute(0, 2, 3, 1).unflatten(3, (height, width))
        return found[0] + pad(found[1].flip(3), (0, 0, 1, 0))[:, :, :-1]

    def steps(self, num: int, width: int) -> RecurrentSteps:
        return _DiagonalSteps(self, num, width)


def _diagonals(height: int, width: int, device: torch.device) -> tuple[Tensor, list[int]]:
    """Returns the places i·W + j of all pixels, by i + j and then by i, and how many each diagonal has."""
    i = torch.arange(height, device=device)[:, None]
    j = torch.arange(width, device=device)
    order = ((i + j) * height + i).flatten().argsort()
    return order, [min(s + 1, height, width, height + width - 1 - s) for s in range(height + width - 1)]


class _DiagonalSteps(RecurrentSteps):
    """The first LSTM goes on with each position; the second runs through a row, from the right, once it is complete."""

    def __init__(self, layer: DiagonalBiLSTM, num: int, width: int) -> None:
        self._layer, self._width = layer, width
        first, second = layer.input_to_state
        assert isinstance(first, CausalConvolution) and isinstance(second, CausalConvolution)
        self._inputs, self._slices = RowCache(first, num, width), first.out_slices
        self._states = [slice(s.start // 4, s.stop // 4) for s in self._slices]
        weight = torch.cat([second.masked_weight(), layer.pixel_to_state.weight], 1)
        self._weight, self._bias = weight[:, :, 0, 0].T, second.bias
        zeros = layer.state_to_state.new_zeros
        self._x = zeros(width, num, first.in_features)
        self._in_slices = first.in_slices
        # h and c of the row above, from the left, and at each position that is complete of its own row; one more at
        # the end, of which position 0 makes use: what is left of the image.
        self._h, self._c = zeros(2, width + 1, num, layer.features), zeros(2, width + 1, num, layer.features)
        self._seen = zeros(width, num, layer.features)

    def step(self, column: int, group: int, x: Tensor) -> Tensor:
        h, c = self._h[0], self._c[0]
        if group == 0:
            before = torch.cat([h[column - 1], h[column]], 1)
            self._over = before @ self._layer.state_to_state[0]
        self._x[column][:, self._in_slices[group]] = x
        gates = self._inputs.step(column, group, x) + self._over[:, self._slices[group]]
        states = self._states[group]
        new, c[column][:, states] = lstm(gates, c[column - 1][:, states], -1)
        h[column][:, states] = new
        return new + self._seen[column][:, states]

    def end_row(self, planes: Tensor) -> None:
        layer, h, c = self._layer, self._h[1], self._c[1]
        gates = torch.cat([self._x, planes], 2) @ self._weight + self._bias
        for column in reversed(range(self._width)):
            before = torch.cat([h[column + 1], h[column]], 1)
            summed = torch.addmm(gates[column], before, layer.state_to_state[1])
            h[column], c[column] = lstm(summed, c[column + 1], -1, layer.groups)
        self._seen = h[: self._width].clone()
