"""Steppers of networks whose pixels come by rows, each from the left."""

__all__ = ["RasterStepper"]

import abc

import torch
from torch import Tensor

from lit_gen.nn.causal_network import CausalNetwork, Stepper


class RasterStepper(Stepper, abc.ABC):
    """A stepper that knows where it is.

    Arguments:
        network: The network, whose order is that of rows.
    """

    def __init__(self, network: CausalNetwork) -> None:
        self._width, self._groups = network.input_shape[2], network.groups
        self._row = self._column = self._group = 0

    @abc.abstractmethod
    def numbers(self, row: int, column: int, group: int) -> Tensor:
        """Returns the numbers for a position, shape [B, num_outputs/G]."""

    @abc.abstractmethod
    def take(self, row: int, column: int, group: int, planes: Tensor) -> None:
        """Takes in what a position has become, planes [B, num_inputs/G]."""

    @abc.abstractmethod
    def end_row(self, row: int) -> None:
        """Makes ready for the next row."""

    @torch.no_grad()
    def theta(self) -> Tensor:
        return self.numbers(self._row, self._column, self._group)

    @torch.no_grad()
    def put(self, planes: Tensor) -> None:
        self.take(self._row, self._column, self._group, planes)
        self._group += 1
        if self._group < self._groups:
            return
        self._group, self._column = 0, self._column + 1
        if self._column == self._width:
            self.end_row(self._row)
            self._column, self._row = 0, self._row + 1
