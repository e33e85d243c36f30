"""The divergence from the standard Gaussian, against torch's."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lit_gen.functional.gaussian_kl import gaussian_kl


def test_it_is_the_sum_over_dimensions_for_each_image() -> None:
    mean, log_variance = torch.randn(4, 6), torch.randn(4, 6)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)
    torch.testing.assert_close(gaussian_kl(mean.bfloat16(), log_variance.bfloat16()), expected, atol=0.2, rtol=0.05)
    assert gaussian_kl(mean.bfloat16(), mean.bfloat16()).dtype == torch.float32


def test_near_the_standard_gaussian_no_digits_are_lost() -> None:
    small = torch.full((1, 1), 1e-4)
    assert gaussian_kl(torch.zeros(1, 1), small).item() == pytest.approx(1e-8 / 4, rel=0.05)
    assert gaussian_kl(torch.zeros(1, 1), torch.zeros(1, 1)).item() == 0.0
