import itertools

import pytest
import torch
from torch.nn.functional import conv2d

from lit_gen.functional.tiling import tile_starts, tile_weights, tiled


@pytest.mark.parametrize(("length", "tile", "overlap"), [(10, 10, 3), (11, 10, 3), (100, 16, 4), (57, 8, 7), (9, 4, 0)])
def test_tiles_cover_a_side_with_the_overlap_asked_for_and_no_more_tiles_than_needed(length, tile, overlap):
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] == max(length - tile, 0)
    steps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(0 < step <= tile - overlap for step in steps)
    assert tile + (len(starts) - 2) * (tile - overlap) < length or len(starts) == 1
    assert max(steps, default=0) - min(steps, default=0) <= 1


def test_neighbours_weights_sum_to_one_and_begin_behind_the_margin():
    left, right = tile_weights(20, 8, True, False)[-8:], tile_weights(20, 8, False, True)[:8]
    torch.testing.assert_close(left + right, torch.ones(8))
    assert right.tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]
    assert (tile_weights(5, 0, False, False) == 1).all()


@pytest.mark.parametrize("size", [(40, 23), (16, 50), (5, 7), (33, 33)])
def test_what_sees_no_further_than_a_quarter_of_the_overlap_gives_the_whole_image(size):
    """A convolution of 5×5, two pixels to each side, with zeros beyond its borders; of 7×7 it is another image."""
    x = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0))

    def distance(kernel: int, overlap: int) -> float:
        weight = torch.randn(3, 2, kernel, kernel, generator=torch.Generator().manual_seed(1))
        whole = conv2d(x, weight, padding=kernel // 2)
        pieces = tiled(lambda r, c: conv2d(x[..., r, c], weight, padding=kernel // 2), *size, 16, overlap)
        return float((pieces - whole).abs().max())

    assert distance(5, 8) < 1e-4
    assert distance(7, 8) > 0.01 or max(size) <= 16


def test_two_constants_are_blended_without_a_step():
    out = tiled(lambda rows, columns: torch.full((1, 1, 4, 12), float(columns.start > 0)), 4, 16, 12, 8)
    assert out[0, 0, 0, 0] == 0 and out[0, 0, 0, -1] == 1
    assert (out[0, 0, 0].diff() >= 0).all() and out.diff(dim=3).max() <= 0.25


def test_a_tile_of_another_size_is_refused():
    with pytest.raises(ValueError, match="a tile of 4×4 pixels became one of 8×8"):
        tiled(lambda rows, columns: torch.zeros(1, 1, 8, 8), 9, 9, 4, 1)
