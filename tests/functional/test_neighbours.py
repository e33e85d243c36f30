"""Nearest neighbours in chunks are those of the whole."""

import pytest
import torch

from lit_gen.functional.distances import paired_distances, rounding, squared_distances
from lit_gen.functional.neighbours import nearest


def points(num: int, seed: int) -> torch.Tensor:
    return torch.randn(num, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_neighbours_over_chunks_are_those_of_the_whole(chunk: int) -> None:
    a, b = points(20, 0), points(100, 1)
    distances, indices = nearest(a, b.split(chunk), 3)
    whole = torch.cdist(a.double(), b.double()).topk(3, largest=False)
    torch.testing.assert_close(distances, whole.values)
    assert torch.equal(indices, whole.indices)


def test_copies_are_at_distance_zero() -> None:
    others = 1e3 + points(50, 2).double() / 3
    distances, indices = nearest(others[[3, 40]], others.split(8), 2)
    assert distances[:, 0].tolist() == [0.0, 0.0] and indices[:, 0].tolist() == [3, 40]
    assert (squared_distances(others, others).diagonal() > 0.0).any(), "which products alone do not find"


def test_rounding_bounds_the_error_of_products() -> None:
    x, y = 1e3 + points(40, 3).double() / 3, 1e3 + points(50, 4).double() / 3
    rows, columns = torch.cartesian_prod(torch.arange(40), torch.arange(50)).T
    exact = paired_distances(x, y, rows, columns).view(40, 50)
    error = (squared_distances(x, y) - exact).abs().max()
    assert 0.0 < error <= rounding(x, y) < 1e-7
