"""The kernel distance against hand-computed and analytic values, and torch-fidelity's."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.functional.distances import block_length
from lit_gen.functional.kernel_distance import (
    Kernel,
    biased_mmd,
    gaussian_kernel,
    polynomial_kernel,
    subset_mmds,
    unbiased_mmd,
)


def test_kernel_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    # (xᵀy / 2 + 1)³ with xᵀy = 5 and 0.
    assert torch.equal(polynomial_kernel(x, y), torch.tensor([[3.5**3, 1.0]]))
    assert torch.equal(polynomial_kernel(x, y, degree=1, gamma=2.0, coef=-1.0), torch.tensor([[9.0, -1.0]]))


def test_two_points_by_hand() -> None:
    # In one dimension k(a, b) = (ab + 1)³: k(0, 1) = 1, k(2, 3) = 343, k(0, ·) = 1, k(1, 2) = 27, k(1, 3) = 64.
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert unbiased_mmd(x, y).item() == pytest.approx(1.0 + 343.0 - 2.0 * (1 + 1 + 27 + 64) / 4, rel=1e-15)


def test_samples_of_unlike_size_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    within = (1 + 1 + 27) / 3  # pairs (0, 1), (0, 2), (1, 2)
    between = (1 + 1 + 1 + 1 + 8 + 27) / 6
    assert unbiased_mmd(x, y).item() == pytest.approx(1.0 + within - 2.0 * between, rel=1e-15)


def test_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(1500, 2, 5, 3, generator=generator)
    value = torch.stack([unbiased_mmd(x, y) for x, y in draws])
    assert abs(value.mean()) < 4.0 * value.std() / len(draws) ** 0.5
    assert value.min() < 0.0 < value.max()
    # For linear kernels the mean is the squared distance of the means, here 3 · 0.5² / 3.
    value = torch.stack([unbiased_mmd(x, y + 0.5, partial(polynomial_kernel, degree=1)) for x, y in draws])
    assert abs(value.mean() - 0.25) < 4.0 * value.std() / len(draws) ** 0.5


def test_one_point_is_refused() -> None:
    with pytest.raises(AssertionError, match="two points"):
        unbiased_mmd(torch.zeros(1, 3), torch.zeros(2, 3))


def test_gaussian_kernel_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0], [4.0, 6.0]])
    assert gaussian_kernel(x, y, 5.0).tolist() == [[1.0, pytest.approx(math.exp(-0.5), rel=1e-15)]]


def _expected_kernel(variance: float, distance: float, sigma: float, dim: int) -> float:
    """The mean of the kernel between N(0, v₁I) and N(μ, v₂I) with v₁ + v₂ = v and ‖μ‖ = d: a convolved Gaussian."""
    return (sigma**2 / (sigma**2 + variance)) ** (dim / 2) * math.exp(-(distance**2) / 2 / (sigma**2 + variance))


def test_between_gaussians_in_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    dim, sigma, shift, scale = 3, 2.0, 0.7, 1.5
    between = _expected_kernel(1 + scale**2, shift * dim**0.5, sigma, dim)
    within = _expected_kernel(2.0, 0.0, sigma, dim), _expected_kernel(2 * scale**2, 0.0, sigma, dim)
    expected = sum(within) - 2.0 * between
    x = torch.randn(600, 40, dim, generator=generator)
    y = shift + scale * torch.randn(600, 30, dim, generator=generator)
    kernel = partial(gaussian_kernel, sigma=sigma)
    unbiased = torch.stack([unbiased_mmd(a, b, kernel) for a, b in zip(x, y, strict=True)])
    assert abs(unbiased.mean() - expected) < 4.0 * unbiased.std() / 600**0.5 < 0.1 * expected
    # The biased one also counts every point with itself, k = 1, in one of M pairs.
    excess = (1.0 - within[0]) / 40 + (1.0 - within[1]) / 30
    biased = torch.stack([biased_mmd(a, b, kernel)[0] for a, b in zip(x, y, strict=True)])
    assert abs(biased.mean() - expected - excess) < 4.0 * biased.std() / 600**0.5 < 0.5 * excess
    # The standard error tells how the estimate moves from sample to sample while the other side is fixed.
    values, errors = torch.stack([torch.stack(biased_mmd(a, y[0], kernel)) for a in x]).T
    assert errors.square().mean().sqrt().item() == pytest.approx(values.std().item(), rel=0.15)


@pytest.mark.parametrize("entries", [2**21, 7 * 6])
def test_biased_against_the_formula(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_gen.functional.distances._ENTRIES", entries)
    assert block_length(6) == (7 if entries == 42 else 1024)
    random = np.random.RandomState(0)
    x, y = random.randn(31, 6), random.randn(24, 6) + 0.1

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 10.0**2)).mean())

    value = biased_mmd(torch.from_numpy(x), torch.from_numpy(y), gaussian_kernel)[0]
    assert value.item() == pytest.approx(mean(x, x) + mean(y, y) - 2 * mean(x, y), rel=1e-11)
    assert biased_mmd(torch.from_numpy(x), torch.from_numpy(x), gaussian_kernel)[0].item() == pytest.approx(
        0, abs=1e-15
    )


def _subsets(num: int, subsets: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.stack([torch.randperm(num, generator=generator)[:size] for _ in range(subsets)])


@pytest.mark.parametrize("kernel", [polynomial_kernel, partial(gaussian_kernel, sigma=3.0)])
def test_all_pairs_at_once_and_one_by_one_agree(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 40, generator=generator), 1.3 * torch.randn(45, 40, generator=generator)
    chosen = _subsets(60, 10, 30, generator), _subsets(45, 10, 20, generator)
    one_by_one = torch.stack([unbiased_mmd(x[i], y[j], kernel) for i, j in zip(*chosen, strict=True)])
    called = []

    def counting(a: Tensor, b: Tensor) -> Tensor:
        called.append(len(a) * len(b))
        return kernel(a, b)

    at_once = subset_mmds(x, y, *chosen, counting)
    assert sum(called) == 60 * 60 + 45 * 45 + 60 * 45, "every pair once"
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-11, atol=1e-14)
    called.clear()
    assert torch.equal(subset_mmds(x, y, chosen[0][:1], chosen[1][:1], counting), one_by_one[:1])
    assert sum(called) == 30 * 30 + 20 * 20 + 30 * 20, "only the pairs of the one subset"
    monkeypatch.setattr("lit_gen.functional.distances._ENTRIES", 7 * 40)
    called.clear()
    torch.testing.assert_close(subset_mmds(x, y, *chosen, counting), at_once, rtol=1e-11, atol=1e-14)
    assert max(called) == 7 * 7, "no block is larger, whatever the number of points"


@pytest.mark.parametrize("subset_size", [40, 12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("settings", "kernel"),
    [
        ({"kid_kernel": "poly"}, polynomial_kernel),
        ({"kid_kernel": "rbf"}, gaussian_kernel),
        ({"kid_kernel": "rbf", "kid_kernel_rbf_sigma": 4.0}, partial(gaussian_kernel, sigma=4.0)),
    ],
)
def test_torch_fidelity_draws_and_finds_the_same(
    settings: dict[str, object], kernel: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype, subset_size: int
) -> None:
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 30, generator=generator), 1.3 * torch.randn(60, 30, generator=generator) + 0.2
    random = np.random.RandomState(5)
    drawn = [[random.choice(n, subset_size, replace=False) for n in (50, 60)] for _ in range(6)]
    of_x, of_y = torch.from_numpy(np.array(drawn)).unbind(1)
    value = subset_mmds(x, y, of_x, of_y, kernel)
    expected = metric_kid.kid_features_to_metric(
        x.to(dtype), y.to(dtype), kid_subsets=6, kid_subset_size=subset_size, rng_seed=5, verbose=False, **settings
    )
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4  # what its float32 sums leave
    assert value.mean().item() == pytest.approx(expected["kernel_inception_distance_mean"], rel=tolerance)
    assert value.std(correction=0).item() == pytest.approx(expected["kernel_inception_distance_std"], rel=tolerance)
