"""Likelihoods of diffusion models against closed forms, of Gaussians whose best denoiser is known."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats

from lit_gen.errors import UserError
from lit_gen.functional.diffusion_likelihood import ProbabilityFlow, VariationalBound
from lit_gen.functional.discretized_gaussian import discretized_gaussian
from lit_gen.functional.noise_schedules import CosineSchedule, EDMSchedule, LinearSchedule
from lit_gen.functional.parameterisation import VelocityPrediction
from lit_gen.functional.reverse_step import step_between
from lit_gen.functional.sampler import Denoiser, Prediction
from lit_gen.functional.tabulated_schedules import Discretised, LinearBetas
from lit_gen.functional.variational_bound import bound_term

_spec = importlib.util.spec_from_file_location("diffusion_oracle", Path(__file__).with_name("diffusion_oracle.py"))
oracles = importlib.util.module_from_spec(_spec)
sys.modules["diffusion_oracle"] = oracles
_spec.loader.exec_module(oracles)

GAUSSIAN = oracles.Mixture((0.1,), 0.4)
every_schedule = pytest.mark.parametrize("schedule", oracles.SCHEDULES.values(), ids=oracles.SCHEDULES)


def oracle(schedule: Any, data: Any = GAUSSIAN) -> Denoiser:
    return oracles.oracle(data, schedule, VelocityPrediction())


@every_schedule
def test_the_probability_flow_of_a_gaussian_is_the_closed_form(schedule: Any) -> None:
    """Its flow is affine: x_1 = c + (s_1/s_0) (x_0 − m), so the density that it gives to N(0, 1) is known exactly."""
    x = torch.linspace(-1.2, 1.5, 6, dtype=torch.float64).view(-1, 2, 1, 1)
    found = ProbabilityFlow("exact", 1e-7, 1e-7).log_density(x, oracle(schedule))
    start, end = (schedule.level(t) for t in schedule.span)
    (mean, variance), (end_mean, end_variance) = GAUSSIAN.moments(start), GAUSSIAN.moments(end)
    slope = math.sqrt(end_variance / variance)
    z = end_mean + slope * (start.alpha * x - mean)
    wanted = stats.norm.logpdf(z.numpy(), scale=schedule.prior_std) + math.log(slope * start.alpha)
    torch.testing.assert_close(found, torch.from_numpy(wanted).sum((1, 2, 3)), rtol=0, atol=1e-5)
    # Which is nearly the data's own.
    truth = torch.from_numpy(stats.norm.logpdf(x.numpy(), 0.1, 0.4)).sum((1, 2, 3))
    torch.testing.assert_close(found, truth, rtol=0, atol=0.02)


def test_a_mixtures_density_is_found() -> None:
    data, x = oracles.Mixture((-1.0, 1.0), 0.3), torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    found = ProbabilityFlow("exact", 1e-7, 1e-7).log_prob(x, oracle(EDMSchedule(), data), None)
    wanted = torch.from_numpy(0.5 * (stats.norm.pdf(x.numpy(), -1, 0.3) + stats.norm.pdf(x.numpy(), 1, 0.3)))
    torch.testing.assert_close(found, wanted.log().flatten(), rtol=0, atol=1e-3)


def turned(x_t: torch.Tensor, t: torch.Tensor, rows: torch.Tensor | None) -> Prediction:
    """Predicts images of two numbers that depend on each other."""
    x = torch.stack([x_t[:, 0] * 0.3 + 0.2 * x_t[:, 1].tanh(), 0.4 * x_t[:, 0].sin()], dim=1)
    alpha, sigma = (value.to(x.dtype).view(-1, 1, 1, 1) for value in CosineSchedule().at(t))
    return Prediction(x, (x_t - alpha * x) / sigma)


def test_hutchinsons_estimate_has_the_exact_mean() -> None:
    """Of two numbers, signs have four combinations: the mean over these is the trace, here along the same path."""
    x, denoise = torch.tensor([[0.3, -0.8]], dtype=torch.float64).view(1, 2, 1, 1), Denoiser(CosineSchedule(), turned)
    exact = ProbabilityFlow("exact", 1e-7, 1e-7).log_prob(x, denoise, None).item()
    drawn = ProbabilityFlow("hutchinson", 1e-7, 1e-7).log_prob(
        x.expand(64, -1, -1, -1), denoise, torch.Generator().manual_seed(0)
    )
    values = sorted({round(value, 4) for value in drawn.tolist()})  # the two signs of uᵀJu's mixed part
    assert len(values) == 2 and sum(values) / 2 == pytest.approx(exact, abs=1e-3)


def test_likelihoods_can_be_asked_in_inference_mode_and_do_not_depend_on_their_batch() -> None:
    x, denoise = torch.randn(5, 2, 1, 1), Denoiser(CosineSchedule(), turned)
    flow = ProbabilityFlow("exact", 1e-4, 1e-4)
    with torch.inference_mode():
        inside = flow.log_prob(x, denoise, None)
    torch.testing.assert_close(inside, flow.log_prob(x, denoise, None))
    torch.testing.assert_close(flow.log_prob(x[2:3], denoise, None)[0], inside[2], rtol=1e-4, atol=1e-4)


def images(num: int) -> torch.Tensor:
    return (
        torch.tensor([60, 128, 150, 200], dtype=torch.float64)
        .div(127.5)
        .sub(1)
        .view(1, 1, 2, 2)
        .expand(num, -1, -1, -1)
    )


def test_the_probability_flow_of_8_bit_images_is_a_bound_that_is_nearly_tight_where_densities_are_flat() -> None:
    x = images(64)
    found = ProbabilityFlow("exact", 1e-6, 1e-6).log_prob(x, oracle(EDMSchedule()), torch.Generator().manual_seed(0))
    mean, log_std = torch.full_like(x, 0.1), torch.full_like(x, math.log(0.4))
    wanted = discretized_gaussian(x, mean, log_std).sum((1, 2, 3))
    assert found.mean().item() == pytest.approx(wanted[0].item(), abs=0.01)


def test_the_bound_approaches_the_probability_of_8_bit_images_from_below() -> None:
    """With many steps and variances β the chain's Gaussians are right; a perfect denoiser loses nothing else."""
    x = images(2000)
    wanted = discretized_gaussian(x[:1], torch.tensor(0.1), torch.tensor(math.log(0.4))).sum().item()
    gaps = {}
    for variance, steps in (("large", 5), ("large", 20), ("large", 100), ("small", 100)):
        schedule, bound = Discretised(CosineSchedule(), steps), VariationalBound(steps, variance=variance)  # type: ignore[arg-type]
        found = bound.log_prob(x, oracle(schedule), torch.Generator().manual_seed(0))
        gaps[variance, steps] = wanted - found.mean().item()
        assert gaps[variance, steps] > -4 * found.std().item() / math.sqrt(len(x))
        assert bound.what(schedule) == f"8-bit images, variational bound of {steps} steps"
    assert gaps["large", 5] > 2 * gaps["large", 20] > 0 and gaps["large", 100] < 0.15, gaps
    assert gaps["small", 100] > 1, gaps  # β̃ is right where an image is nearly known, and these are not


def test_a_bound_says_how_many_steps_it_has() -> None:
    """No more than its schedule has; bounds of unlike numbers are unlike."""
    assert VariationalBound(1000).what(LinearBetas(100)).endswith("bound of 100 steps")
    assert VariationalBound(1).what(LinearBetas()).endswith("bound of 1 step")


@pytest.mark.parametrize("variance", ["large", "small", "learned"])
def test_a_bounds_terms_are_where_the_images_are(variance: Any) -> None:
    """The numbers of a step are made on the CPU, whatever device the images are on."""
    x = torch.zeros(2, 1, 3, 3, device="meta")
    step = step_between(LinearSchedule().level(0.5), LinearSchedule().level(0.4))
    for last in (False, True):
        found = bound_term(x, x, Prediction(x, x, x), step, variance, last)
        assert found.device.type == "meta" and found.shape == (2,)
    found = bound_term(x, x, Prediction(x, x, x), step, variance, torch.zeros(2, 1, 1, 1, device="meta").bool())
    assert found.shape == (2,), "a meta tensor cannot be asked for what it holds, as a CUDA one should not be"


def test_a_bounds_terms_are_the_papers() -> None:
    """By DDPM's equation (12), where the variance is β: each term is β² / (2 β α (1 − ᾱ)) ‖ε − ε'‖² and a constant."""
    schedule, steps = LinearBetas(4, 0.1, 0.4), 4
    betas = torch.linspace(0.1, 0.4, steps, dtype=torch.float64)
    alphas, bars = 1 - betas, (1 - betas).cumprod(0)
    x = images(1)
    seen: list[torch.Tensor] = []

    def predict(x_t: torch.Tensor, t: torch.Tensor, rows: torch.Tensor | None) -> Prediction:
        seen.append(x_t)
        alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.at(t))
        epsilon = x_t.sin()
        return Prediction((x_t - sigma * epsilon) / alpha, epsilon)

    found = VariationalBound(steps).log_prob(x, Denoiser(schedule, predict), torch.Generator().manual_seed(0)).item()
    prior = 0.5 * (bars[3] * x**2 + (1 - bars[3]) - 1 - (1 - bars[3]).log()).sum()
    total = -prior
    for i, x_t in zip((3, 2, 1), seen, strict=False):
        epsilon = (x_t - bars[i].sqrt() * x) / (1 - bars[i]).sqrt()
        small, large = betas[i] * (1 - bars[i - 1]) / (1 - bars[i]), betas[i]
        squares = betas[i] ** 2 / (2 * large * alphas[i] * (1 - bars[i])) * (epsilon - x_t.sin()).square()
        total = total - (squares + 0.5 * ((large / small).log() + small / large - 1)).sum()
    x_1 = seen[3]
    mean = (x_1 - betas[0] / (1 - bars[0]).sqrt() * x_1.sin()) / alphas[0].sqrt()
    total = total + discretized_gaussian(x, mean, 0.5 * betas[0].log()).sum()
    assert found == pytest.approx(total.item(), rel=1e-6)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="hutchinson or exact"):
        ProbabilityFlow("none")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="above 0"):
        ProbabilityFlow(rtol=0.0)
    with pytest.raises(UserError, match="large, small or learned"):
        VariationalBound(4, variance="huge")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="at least 1"):
        VariationalBound(0)
    with pytest.raises(UserError, match="learned_variance"):
        VariationalBound(4, variance="learned").log_prob(images(1), oracle(LinearBetas(4, 0.1, 0.4)), None)
