"""Ratios of sums, against means, a bootstrap and sums by hand."""

import math

import pytest
import torch

from lit_gen.functional.ratio_of_sums import mean_ratio_of_sums


def test_with_denominators_of_one_it_is_a_mean_and_its_standard_error() -> None:
    values = torch.rand(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, error = mean_ratio_of_sums(values, torch.ones_like(values))
    assert float(mean) == pytest.approx(float(values.mean()))
    assert float(error) == pytest.approx(float(values.mean(1).std()) / math.sqrt(30))


def test_images_weigh_as_much_as_there_is_in_them() -> None:
    numerator, denominator = torch.tensor([[1.0], [9.0]]), torch.tensor([[10.0], [10.0]])
    assert float(mean_ratio_of_sums(numerator, denominator)[0]) == pytest.approx(0.5)
    denominator = torch.tensor([[1.0], [99.0]])
    assert float(mean_ratio_of_sums(numerator, denominator)[0]) == pytest.approx(0.1)


def test_the_error_is_that_of_many_data_sets() -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(sets: int) -> tuple[torch.Tensor, torch.Tensor]:
        b = 1 + 9 * torch.rand((sets, 200, 2), generator=generator, dtype=torch.float64)
        share = torch.rand((sets, 200, 2), generator=generator, dtype=torch.float64)
        return b * share, b

    a, b = drawn(2000)
    ratios = (a.sum(1) / b.sum(1)).mean(1)
    errors = [float(mean_ratio_of_sums(a[i], b[i])[1]) for i in range(20)]
    assert sum(errors) / 20 == pytest.approx(float(ratios.std()), rel=0.06)


def test_what_is_not_there_does_not_count() -> None:
    numerator, denominator = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    assert float(mean_ratio_of_sums(numerator, denominator)[0]) == 0.5
    assert all(x.isnan() for x in mean_ratio_of_sums(numerator[:, 1:], denominator[:, 1:]))
