r"""Layers of PixelRNNs: LSTMs over maps, whose every position has a state.

.. math::
    [o, f, i, g] = K^{ss} * h_{before} + K^{is} * x, \quad
    c = \sigma(f) \odot c_{before} + \sigma(i) \odot \tanh(g), \quad h = \sigma(o) \odot \tanh(c)
"""

__all__ = ["RecurrentLayer", "RecurrentSteps", "lstm"]

import abc

import torch
from torch import Tensor, nn


class RecurrentSteps(abc.ABC):
    """What computes a layer's states position after position, by rows, each from the left."""

    @abc.abstractmethod
    def step(self, column: int, group: int, x: Tensor) -> Tensor:
        """Takes in the layer's input for one group of a position, [B, in/G], and returns its states, [B, out/G]."""

    @abc.abstractmethod
    def end_row(self, planes: Tensor) -> None:
        """Makes ready for the next row; the one that is complete has these planes, [W, B, planes]."""


class RecurrentLayer(nn.Module, abc.ABC):
    """An LSTM over maps, whose state of group g at a pixel depends on groups up to g of it and on earlier pixels.

    Its constructor takes ``in_features``, ``features``, ``planes`` and ``groups``, which divide both features.
    """

    @abc.abstractmethod
    def forward(self, x: Tensor, planes: Tensor) -> Tensor:
        """Maps [B, in_features, H, W] to states h, [B, features, H, W].

        Arguments:
            x: Maps whose group g at a pixel has seen its groups below g and what precedes.
            planes: The image itself, [B, planes, H, W], of use to what goes to later rows alone.
        """

    @abc.abstractmethod
    def steps(self, num: int, width: int) -> RecurrentSteps:
        """Returns what computes the same states position after position, of so many images of that width."""


def lstm(gates: Tensor, c: Tensor, dim: int, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Returns the states h and c that follow, van den Oord et al. (2016), equation (3).

    Arguments:
        gates: The gates before their non-linearities, group after group the numbers of o, f, i and g, 4h along `dim`.
        c: The cells c of before, h along `dim`, or what can be broadcast.
        dim: The dimension of gates, from the last: -1 or -2.
        groups: The groups G.
    """
    o, f, i, g = (part.flatten(dim - 1, dim) for part in gates.unflatten(dim, (groups, 4, -1)).unbind(dim - 1))
    c = f.sigmoid() * c + i.sigmoid() * torch.tanh(g)
    return o.sigmoid() * torch.tanh(c), c
