"""Sizes of maps and their widths, by hand."""

import pytest

from lit_gen.errors import UserError
from lit_gen.nn.sizes import doubled_widths, halvings, nearest_maps


@pytest.mark.parametrize(
    ("size", "coarsest", "expected"),
    [
        ((32, 32), 4, [(32, 32), (16, 16), (8, 8), (4, 4)]),
        ((28, 28), 4, [(28, 28), (14, 14), (7, 7), (4, 4)]),
        ((28, 28), 7, [(28, 28), (14, 14), (7, 7)]),
        ((9, 40), 4, [(9, 40), (5, 20), (3, 10)]),
        ((8, 8), 8, [(8, 8)]),
    ],
)
def test_halving_rounds_up_and_stops_at_the_shorter_side(
    size: tuple[int, int], coarsest: int, expected: list[tuple[int, int]]
) -> None:
    assert halvings((1, *size), coarsest) == expected


def test_widths_double_up_to_the_most() -> None:
    assert doubled_widths(64, 300, 4) == [64, 128, 256, 300]


def test_nearest_maps() -> None:
    sizes = [(7, 9), (14, 18), (28, 36)]
    assert nearest_maps(sizes, []) == set()
    assert nearest_maps(sizes, [16]) == {1}
    assert nearest_maps(sizes, [1, 1000, 9]) == {0, 2}


def test_senseless_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="7×64"):
        halvings((1, 7, 64))
    with pytest.raises(UserError, match="coarsest is 0"):
        halvings((1, 8, 8), 0)
    with pytest.raises(UserError, match="features is 0"):
        doubled_widths(0, 8, 2)
