r"""Autoregressive networks over images: the numbers of each pixel come from the pixels before it alone.

.. math:: p(x) = \prod_i p(x_i | x_1, …, x_{i-1})

A pixel's channels are drawn in G groups, one after the other; a position in the order is a pixel and one of its groups.
"""

__all__ = ["CausalNetwork", "Stepper", "group_slices"]

import abc
from collections.abc import Sequence

from torch import Tensor, nn

from lit_gen.contracts import Shape


class Stepper(abc.ABC):
    """What computes a network's numbers position after position, each from what it kept of those before.

    It is made by `CausalNetwork.stepper` and used once: `theta` and `put` take turns, for each pixel in the network's
    order and each group of the pixel, to the last of them. It computes without gradients, in evaluation mode.
    """

    @abc.abstractmethod
    def theta(self) -> Tensor:
        """Returns the numbers for the position that is next, shape [B, num_outputs/G]."""

    @abc.abstractmethod
    def put(self, planes: Tensor) -> None:
        """Takes in what that position has become, planes [B, num_inputs/G], and goes on to the next position."""


class CausalNetwork(nn.Module, abc.ABC):
    r"""A network of planes [B, num_inputs, H, W] whose numbers [B, num_outputs, H, W] depend on what precedes alone.

    Planes and numbers stand group after group, equally many for each. Numbers of group g at a pixel depend on all
    groups of the pixels before it and on groups below g of its own, and exactly on nothing else.

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups G that a pixel is drawn in.
        order: The pixels (row, column) in the order in which they are drawn: by rows, each from the left, by default.

    Raises:
        ValueError: If planes or numbers cannot be divided into the groups.
    """

    def __init__(
        self, input_shape: Shape, num_outputs: int, groups: int, order: Sequence[tuple[int, int]] | None = None
    ) -> None:
        super().__init__()
        planes, height, width = input_shape
        if planes % groups or num_outputs % groups:
            raise ValueError(f"{planes} planes and {num_outputs} numbers cannot be divided into {groups} groups")
        self.input_shape: Shape = (planes, height, width)
        self.num_outputs, self.groups = num_outputs, groups
        self.order = list(order) if order is not None else [(i, j) for i in range(height) for j in range(width)]

    @abc.abstractmethod
    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps planes [B, num_inputs, H, W] and labels [B] to numbers [B, num_outputs, H, W]."""

    @abc.abstractmethod
    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        """Returns what computes the same numbers position after position, of so many images of these labels [num]."""


def group_slices(features: int, groups: int) -> list[slice]:
    """Divides features into groups, one after the other, as equal as can be.

    Raises:
        ValueError: If there are fewer features than groups.
    """
    if features < groups:
        raise ValueError(f"{features} features cannot be divided into {groups} groups, one for each channel")
    bounds = [features * g // groups for g in range(groups + 1)]
    return [slice(bounds[g], bounds[g + 1]) for g in range(groups)]
