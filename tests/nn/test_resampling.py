"""Resampling by [1, 3, 3, 1]: torch's own bilinear doubling, explicit convolutions, constants and means."""

import pytest
import torch
from torch.nn import functional

from lit_gen.nn.resampling import blur, downsample, upsample

SIZES = [(1, 1), (2, 2), (4, 4), (5, 3), (7, 8)]
FILTER = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8] * 2)[None, None]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_doubling_is_bilinear_interpolation_and_keeps_means(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    fine = (2 * size[0], 2 * size[1])
    torch.testing.assert_close(upsample(x, fine), functional.interpolate(x, fine, mode="bilinear"))
    torch.testing.assert_close(upsample(x, fine).mean((2, 3)), x.mean((2, 3)))
    cropped = (fine[0] - 1, fine[1])
    torch.testing.assert_close(upsample(x, cropped), upsample(x, fine)[:, :, : cropped[0]])


@pytest.mark.parametrize("size", [(2, 2), (8, 4), (6, 14)], ids=str)
def test_halving_is_a_strided_convolution_and_the_transpose_of_doubling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    torch.testing.assert_close(downsample(x), functional.conv2d(padded, FILTER, stride=2))
    torch.testing.assert_close(downsample(x).mean((2, 3)), x.mean((2, 3)))
    y = torch.randn_like(downsample(x))
    torch.testing.assert_close((downsample(x) * y).sum(), (x * upsample(y, size)).sum() / 4)


@pytest.mark.parametrize("size", [(1, 1), (9, 15), (5, 8), (28, 28)], ids=str)
def test_constants_stay_constant_at_any_size_and_there_and_back_is_the_same_size(size: tuple[int, int]) -> None:
    x = torch.full((1, 2, *size), 1.7, dtype=torch.float64)
    coarse = downsample(x)
    assert coarse.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    torch.testing.assert_close(coarse, torch.full_like(coarse, 1.7))
    torch.testing.assert_close(upsample(coarse, size), x)


def test_blurring_is_a_padded_convolution() -> None:
    x = torch.randn(2, 1, 5, 6, dtype=torch.float64)
    expected = functional.conv2d(functional.pad(x, (1, 3, 2, 0)), FILTER)
    torch.testing.assert_close(blur(x, (2, 1), (0, 3)), expected)


def test_everything_can_be_differentiated_twice() -> None:
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    for function in (lambda x: upsample(x, (5, 8)), downsample, lambda x: blur(x, (1, 1), (1, 1))):
        assert torch.autograd.gradgradcheck(lambda x, f=function: f(x).square(), x)
