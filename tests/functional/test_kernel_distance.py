"""The kernel distance against hand-computed and analytic values."""

import pytest
import torch

from lit_gen.functional.kernel_distance import polynomial_kernel, polynomial_mmd


def test_kernel_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    # (xᵀy / 2 + 1)³ with xᵀy = 5 and 0.
    assert torch.equal(polynomial_kernel(x, y), torch.tensor([[3.5**3, 1.0]]))
    assert torch.equal(polynomial_kernel(x, y, degree=1, gamma=2.0, coef=-1.0), torch.tensor([[9.0, -1.0]]))


def test_two_points_by_hand() -> None:
    # In one dimension k(a, b) = (ab + 1)³: k(0, 1) = 1, k(2, 3) = 343, k(0, ·) = 1, k(1, 2) = 27, k(1, 3) = 64.
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert polynomial_mmd(x, y).item() == pytest.approx(1.0 + 343.0 - 2.0 * (1 + 1 + 27 + 64) / 4, rel=1e-15)


def test_samples_of_unlike_size_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    within = (1 + 1 + 27) / 3  # pairs (0, 1), (0, 2), (1, 2)
    between = (1 + 1 + 1 + 1 + 8 + 27) / 6
    assert polynomial_mmd(x, y).item() == pytest.approx(1.0 + within - 2.0 * between, rel=1e-15)


def test_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(4000, 2, 5, 3, generator=generator)
    value = torch.stack([polynomial_mmd(x, y) for x, y in draws])
    assert abs(value.mean()) < 4.0 * value.std() / len(draws) ** 0.5
    assert value.min() < 0.0 < value.max()
    # For linear kernels the mean is the squared distance of the means, here 3 · 0.5² / 3.
    value = torch.stack([polynomial_mmd(x, y + 0.5, degree=1) for x, y in draws])
    assert abs(value.mean() - 0.25) < 4.0 * value.std() / len(draws) ** 0.5


def test_one_point_is_refused() -> None:
    with pytest.raises(AssertionError, match="two points"):
        polynomial_mmd(torch.zeros(1, 3), torch.zeros(2, 3))
