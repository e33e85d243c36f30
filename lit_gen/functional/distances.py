"""Squared Euclidean distances between many points, by matrix products over blocks of bounded memory."""

__all__ = ["Tile", "block_length", "paired_distances", "rounding", "squared_distances", "tiles"]

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

_ENTRIES = 2**20  # float64 numbers in the largest tensor that a block needs: 8 MiB
_LONGEST = 1024
_CACHED = 2**17  # float64 numbers that stay in a core's cache: differences are made in pieces of 1 MiB
_SLACK = 1e-12  # of a squared distance: more than sums of squares in another order differ by, and nothing else


def block_length(dim: int) -> int:
    """Returns how many points of a dimension make a block, so that a few blocks stay within some 32 MiB."""
    return min(_LONGEST, max(1, _ENTRIES // dim))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Returns ‖x − y‖² for all pairs of rows by one matrix product, float64 ≥ 0, shape [M, N].

    The error is one of rounding, but relative to ‖x‖² + ‖y‖², not to the distance: equal points need not come out as 0
    (`rounding` bounds it, `paired_distances` has none).

    Arguments:
        x: Points, shape [M, D].
        y: Points, shape [N, D].
    """
    x, y = x.to(torch.float64), y.to(torch.float64)
    squared = torch.addmm(_squares(y), x, y.T, alpha=-2.0)
    return squared.add_(_squares(x)[:, None]).clamp_(min=0.0)


def _squares(x: Tensor) -> Tensor:
    """Returns ‖x‖² for each row, without a tensor of all squares."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norm.square()


def rounding(x: Tensor, y: Tensor) -> Tensor:
    """Returns a bound on the error of all `squared_distances` between two sets of points, float64, a scalar."""
    if not (len(x) and len(y)):
        return x.new_zeros((), dtype=torch.float64)
    largest = torch.stack([_squares(points).max() for points in (x, y)]).sum()
    return torch.finfo(torch.float64).eps * (x.shape[1] + 4) * largest


def paired_distances(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Returns ‖x − y‖² for some pairs by their differences, float64, shape [P].

    Arguments:
        x: Points, shape [M, D].
        y: Points, shape [N, D].
        rows: The pairs' places in the first, int64, shape [P].
        columns: The pairs' places in the second, int64, shape [P].
    """
    size = max(1, _CACHED // x.shape[1])
    parts = [
        _squares(x[row].to(torch.float64).sub_(y[column].to(torch.float64)))
        for row, column in zip(rows.split(size), columns.split(size), strict=True)
    ]
    return torch.cat(parts)


class Tile(NamedTuple):
    """The squared distances between two blocks of points.

    Attributes:
        rows: Where the first block lies among all points.
        columns: Where the second one does.
        x: The first block, float64, shape [m, D].
        y: The second, float64, shape [n, D].
        squared: Their squared distances, to rounding, shape [m, n].
    """

    rows: slice
    columns: slice
    x: Tensor
    y: Tensor
    squared: Tensor

    def within(self, radius: Tensor) -> Tensor:
        """Tells which pairs are no farther apart than a radius, bool [m, n].

        What rounding could decide is measured again by differences: a copy of a point lies in every ball around it,
        even in one of radius 0, and a point that lies on the sphere is within, in whatever order squares are added up.

        Arguments:
            radius: Distances that broadcast to [m, n].
        """
        bound = radius.square() * (1.0 + _SLACK)
        inside = self.squared <= bound
        unsure = (self.squared - bound).abs_() <= rounding(self.x, self.y)
        if unsure.any():
            rows, columns = unsure.nonzero(as_tuple=True)
            exact = paired_distances(self.x, self.y, rows, columns)
            inside[rows, columns] = exact <= bound.expand_as(inside)[rows, columns]
        return inside


def tiles(x: Tensor, y: Tensor) -> Iterator[Tile]:
    """Yields the squared distances between all points, one pair of blocks after the other.

    Arguments:
        x: Points, shape [M, D].
        y: Points, shape [N, D].
    """
    assert x.ndim == y.ndim == 2 and x.shape[1] == y.shape[1], "samples are rows of one length"
    size = block_length(x.shape[1])
    for top in range(0, len(x), size):
        rows = slice(top, min(top + size, len(x)))
        first = x[rows].to(torch.float64)
        for left in range(0, len(y), size):
            columns = slice(left, min(left + size, len(y)))
            second = y[columns].to(torch.float64)
            yield Tile(rows, columns, first, second, squared_distances(first, second))
