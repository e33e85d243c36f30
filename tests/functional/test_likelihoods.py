"""Decoders' distributions over images: they add up to 1, and agree with torch.distributions."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from lit_gen.errors import UserError
from lit_gen.functional.bernoulli import BernoulliLikelihood
from lit_gen.functional.discretised import log_one_minus_exp
from lit_gen.functional.discretized_gaussian import GaussianLikelihood, discretized_gaussian
from lit_gen.functional.discretized_logistic import DiscretizedLogisticLikelihood, discretized_logistic
from lit_gen.functional.likelihood import Likelihood
from lit_gen.functional.quantize import from_uint8
from lit_gen.training.seeding import generators

VALUES = from_uint8(torch.arange(256, dtype=torch.uint8))
LIKELIHOODS = [
    BernoulliLikelihood(),
    BernoulliLikelihood("threshold"),
    GaussianLikelihood(),
    GaussianLikelihood(0.1),
    DiscretizedLogisticLikelihood(),
]


@pytest.mark.parametrize("function", [discretized_logistic, discretized_gaussian])
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.1, 0.999, 2.0])
@pytest.mark.parametrize("log_scale", [-9.0, -5.0, -1.8, 0.0, 3.0])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 2e-4), (torch.float64, 2e-7)])
def test_256_values_share_a_mass_of_one(function, mean, log_scale, dtype, within) -> None:
    x = VALUES.to(dtype)
    log_prob = function(x, x.new_tensor(mean), x.new_tensor(log_scale))
    assert log_prob.isfinite().all()
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=within)


def test_a_gaussians_mass_is_its_interval() -> None:
    x = VALUES.double()[1:-1]
    for mean, std in ((0.2, 0.3), (0.2, 0.004), (-0.7, 5.0)):
        normal = Normal(torch.tensor(mean, dtype=torch.float64), std)
        expected = normal.cdf(x + 1 / 255) - normal.cdf(x - 1 / 255)
        given = discretized_gaussian(x, x.new_tensor(mean), x.new_tensor(std).log()).exp()
        torch.testing.assert_close(given, expected, rtol=1e-6, atol=1e-13)


def test_gradients_are_those_of_the_exact_mass_and_finite_in_the_tails() -> None:
    for function in (discretized_gaussian, discretized_logistic):
        x = VALUES.double()[::17, None]
        mean = torch.tensor([-0.3, 0.4], dtype=torch.float64).expand(16, 2).clone().requires_grad_()
        log_scale = torch.tensor([-1.0, -2.0], dtype=torch.float64).expand(16, 2).clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda m, s, f=function, x=x: f(x, m, s), (mean, log_scale))
        far = torch.tensor([-300.0, 0.0, 300.0], requires_grad=True)
        scale = torch.tensor([-7.0, 0.0, 2.0], requires_grad=True)
        function(VALUES[[0, 3, 255, 128]][:, None], far, scale).sum().backward()
        assert far.grad.isfinite().all() and scale.grad.isfinite().all()


def test_log_one_minus_exp_keeps_its_digits() -> None:
    t = torch.tensor([1e-20, 1e-6, 0.5, 0.7, 5.0, 80.0], dtype=torch.float64)
    expected = [math.log(-math.expm1(-float(v))) for v in t[:-1]] + [-math.exp(-80.0)]
    torch.testing.assert_close(log_one_minus_exp(t), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_bernoulli_against_torch() -> None:
    torch.manual_seed(0)
    x, theta = (torch.rand(5, 2, 4, 3) > 0.5).float(), 4 * torch.randn(7, 5, 2, 4, 3)
    expected = Bernoulli(logits=theta).log_prob(x).sum((2, 3, 4))
    torch.testing.assert_close(BernoulliLikelihood().log_prob(2 * x - 1, theta), expected)


def test_binarisation() -> None:
    grey = torch.tensor([-1.0, -0.5, 0.2, 1.0]).reshape(1, 1, 2, 2).expand(4000, 1, 2, 2)
    torch.manual_seed(0)
    likelihood = BernoulliLikelihood()
    drawn = likelihood.observe(grey)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(drawn.mean(0), grey[0], atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.mean(0)[0, [0, 1], [0, 1]], torch.tensor([-1.0, 1.0]), atol=0, rtol=0)
    assert not torch.equal(drawn, likelihood.observe(grey)), "each visit is another draw"
    seeded = likelihood.observe(grey[:3], generators(0, [0, 1, 2]))
    assert torch.equal(seeded[2], likelihood.observe(grey[:1], generators(0, [2]))[0])
    assert likelihood.observe_without_noise(grey)[0].flatten().tolist() == [-1, -1, 1, 1]
    assert torch.equal(BernoulliLikelihood("threshold").observe(grey), likelihood.observe_without_noise(grey))


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda o: f"{type(o).__name__}-{o.num_parameters}")
def test_draws_have_the_mean_that_is_given_and_samples_axes_are_free(likelihood: Likelihood) -> None:
    torch.manual_seed(0)
    theta = 0.3 * torch.randn(1, likelihood.num_parameters * 3, 2, 2)
    theta[:, 3:] -= 1.0
    drawn = likelihood.draw(theta.expand(20000, -1, -1, -1))
    # Values beyond ±1 are the first and last value, so that the mean of the draws is less wide.
    torch.testing.assert_close(drawn.mean(0), likelihood.mean(theta)[0], atol=0.03, rtol=0)
    x = likelihood.observe(drawn[:4])
    many = likelihood.log_prob(x, torch.stack([theta.expand(4, -1, -1, -1), theta.expand(4, -1, -1, -1) + 0.1]))
    assert many.shape == (2, 4)
    torch.testing.assert_close(many[1], likelihood.log_prob(x, theta + 0.1))
    torch.testing.assert_close(many[0].sum(), sum(likelihood.log_prob(x[i : i + 1], theta)[0] for i in range(4)))


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"binarisation is 'grey'"):
        BernoulliLikelihood("grey")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="std is 0"):
        GaussianLikelihood(0.0)
