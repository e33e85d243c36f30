"""The way of sampling that needs nothing of a network: the whole image again for every position."""

__all__ = ["NaiveStepper"]

import torch
from torch import Tensor

from lit_gen.nn.causal_network import CausalNetwork, Stepper


class NaiveStepper(Stepper):
    """Creates a stepper that runs the network on the whole image for each position, and keeps nothing else.

    What faster steppers are tested against. The network should be in evaluation mode.

    Arguments:
        network: The network.
        num: The number of images B.
        label: Their labels, shape [B].
    """

    def __init__(self, network: CausalNetwork, num: int, label: Tensor | None = None) -> None:
        self._network, self._label = network, label
        some = next(network.parameters())
        self._x = some.new_zeros((num, *network.input_shape))
        self._position = 0

    @torch.no_grad()
    def theta(self) -> Tensor:
        row, column, group = self._where()
        numbers = self._network(self._x, self._label)[:, :, row, column]
        return numbers.unflatten(1, (self._network.groups, -1))[:, group]

    @torch.no_grad()
    def put(self, planes: Tensor) -> None:
        row, column, group = self._where()
        self._x.unflatten(1, (self._network.groups, -1))[:, group, :, row, column] = planes
        self._position += 1

    def _where(self) -> tuple[int, int, int]:
        pixel, group = divmod(self._position, self._network.groups)
        return *self._network.order[pixel], group
