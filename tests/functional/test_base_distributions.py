"""What latents are drawn from: scipy's densities, and numbers that follow them."""

import pytest
import scipy.stats
import torch

from lit_gen.functional.base_distributions import BaseDistribution, StandardLogistic, StandardNormal
from lit_gen.training.seeding import generators

BOTH = pytest.mark.parametrize(
    ("base", "truth"), [(StandardNormal(), scipy.stats.norm), (StandardLogistic(), scipy.stats.logistic)]
)


@BOTH
def test_the_density_is_scipys(base: BaseDistribution, truth: scipy.stats.rv_continuous) -> None:
    z = torch.linspace(-40, 40, 60, dtype=torch.float64).view(20, 3)
    torch.testing.assert_close(base.log_prob(z), torch.from_numpy(truth.logpdf(z.numpy())).sum(dim=1))


@BOTH
def test_numbers_follow_it(base: BaseDistribution, truth: scipy.stats.rv_continuous) -> None:
    z = base.sample((100, 50), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert scipy.stats.kstest(z.flatten().numpy(), truth.cdf).pvalue > 0.01
    assert torch.equal(base.sample((1, 50), generators(3, [7]), z.device)[0],
                       base.sample((3, 50), generators(3, [5, 6, 7]), z.device)[2])  # fmt: skip


def test_the_logistic_is_finite_at_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 0 and at the largest number below 1, which are what uniform numbers can be at most."""
    ends = torch.tensor([[0.0, 1 - 2**-24]])
    monkeypatch.setattr("lit_gen.functional.base_distributions.rand", lambda *_: ends)
    z = StandardLogistic().sample((1, 2), None, torch.device("cpu"))
    assert torch.isfinite(z).all() and z[0, 0].item() < -15 and z[0, 1].item() > 15
