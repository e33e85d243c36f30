"""Moves of whole pixels against plain array operations, image by image; resampling against grid_sample."""

import math

import numpy
import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lit_gen.functional.blitting import mirrored, shifted, turned
from lit_gen.functional.resampling import warp

x = torch.rand(6, 2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
square = x[..., :5]


def test_mirrors_are_exact() -> None:
    where = torch.tensor([True, False, True, True, False, False])
    for before, after, flipped in zip(x, mirrored(x, where), where, strict=True):
        assert (after.numpy() == (before.numpy()[:, :, ::-1] if flipped else before.numpy())).all()


def test_quarter_turns_are_those_of_numpy() -> None:
    quarters = torch.tensor([0, 1, 2, 3, 1, 0])
    for before, after, k in zip(square, turned(square, quarters), quarters.tolist(), strict=True):
        assert (after.numpy() == numpy.rot90(before.numpy(), k, (1, 2))).all()
    with pytest.raises(AssertionError, match="square"):
        turned(x, quarters)


@pytest.mark.parametrize("fill", ["zeros", "reflection"])
def test_shifts_are_those_of_a_padded_array(fill: str) -> None:
    down, right = torch.tensor([0, 1, -4, 4, -1, 2]), torch.tensor([0, -3, 6, 0, -6, 1])
    after = shifted(x, down, right, fill)
    for i in range(len(x)):
        padded = numpy.pad(x[i].numpy(), [(0, 0), (4, 4), (6, 6)], **PADDING[fill])
        top, left = 4 - int(down[i]), 6 - int(right[i])
        assert (after[i].numpy() == padded[:, top : top + 5, left : left + 7]).all()


PADDING = {"zeros": {"mode": "constant"}, "reflection": {"mode": "reflect"}}


def test_reflections_go_on_however_far_outside() -> None:
    down = torch.tensor([-13, -8, 5, 8, 16, 21])
    after = shifted(x, down, torch.zeros(6, dtype=torch.long), "reflection")
    for i in range(len(x)):
        padded = numpy.pad(x[i].numpy(), [(0, 0), (24, 24), (0, 0)], mode="reflect")
        assert (after[i].numpy() == padded[:, 24 - int(down[i]) : 29 - int(down[i])]).all()
    one = torch.rand(2, 1, 1, 1)
    assert torch.equal(shifted(one, torch.tensor([3, -1]), torch.tensor([0, 2]), "reflection"), one)


def affine(*rows: float) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).view(1, 2, 3).expand(6, -1, -1)


def test_warps_that_need_no_interpolation_are_exact() -> None:
    """The matrix is in pixels from the centre, (right, down), also where the image is no square."""
    torch.testing.assert_close(warp(x, affine(1, 0, 0, 0, 1, 0)), x)
    torch.testing.assert_close(warp(x, affine(-1, 0, 0, 0, 1, 0)), x.flip(3))
    moved = warp(x, affine(1, 0, -2, 0, 1, 1))[:, :, :-1, 2:]
    torch.testing.assert_close(moved, x[:, :, 1:, :-2])
    # A result pixel at (right, down) shows what was at (−down, right): turned counterclockwise.
    torch.testing.assert_close(warp(square, affine(0, -1, 0, 1, 0, 0)), torch.rot90(square, 1, (2, 3)))


def test_half_a_pixel_is_the_mean_of_two() -> None:
    moved = warp(x, affine(1, 0, 0.5, 0, 1, 0))[..., :-1]
    torch.testing.assert_close(moved, (x[..., :-1] + x[..., 1:]) / 2)


def test_warps_differentiate_twice_and_as_grid_sample_does() -> None:
    angle = 0.4
    matrix = affine(math.cos(angle), -math.sin(angle), 0.3, math.sin(angle), math.cos(angle), -0.7)[:2]
    small = x[:2, :1, :3, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda image: warp(image, matrix), small)
    assert torch.autograd.gradgradcheck(lambda image: warp(image, matrix).square(), small)
    theta = matrix * torch.tensor([[1, 3 / 4, 2 / 4], [4 / 3, 1, 2 / 3]], dtype=torch.float64)
    grid = torch.nn.functional.affine_grid(theta, [2, 1, 3, 4], align_corners=False)
    theirs = grid_sample(small, grid, padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(warp(small, matrix), theirs)
    ours = torch.autograd.grad(warp(small, matrix).square().sum(), small)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(theirs.square().sum(), small)[0])
