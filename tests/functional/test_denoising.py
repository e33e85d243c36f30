"""Errors and scores of perfect denoisers, in closed form, and the times that stand for a distribution's shares."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

from lit_gen.functional.curved_worlds import TwoMoons
from lit_gen.functional.denoising import denoising_errors, gaussian_error, score
from lit_gen.functional.noise_schedules import EDMSchedule, RectifiedFlowSchedule
from lit_gen.functional.time_distribution import LogNormalNoise, UniformTime
from lit_gen.functional.worlds import Gaussian, Grid, Mixture1D, Ring

_spec = importlib.util.spec_from_file_location("diffusion_oracle", Path(__file__).with_name("diffusion_oracle.py"))
oracles = importlib.util.module_from_spec(_spec)
sys.modules["diffusion_oracle"] = oracles
_spec.loader.exec_module(oracles)
Mixture, oracle, PARAMETERISATIONS, SCHEDULES = (
    oracles.Mixture,
    oracles.oracle,
    oracles.PARAMETERISATIONS,
    oracles.SCHEDULES,
)

MEAN, STD = 0.4, 0.7


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_perfect_denoiser_of_a_gaussian_errs_by_the_closed_form(name: str) -> None:
    schedule, noise = SCHEDULES[name], torch.Generator().manual_seed(0)
    t = schedule.admissible(torch.tensor([0.1, 0.4, 0.8], dtype=torch.float64))
    x, epsilon = torch.randn(2, 3, 40_000, generator=noise, dtype=torch.float64)
    x = MEAN + STD * x
    found = denoising_errors(oracle(Mixture((MEAN,), STD), schedule, PARAMETERISATIONS["v"]), x, epsilon, t)
    (alpha, sigma), (alpha_rate, sigma_rate) = schedule.at(t), schedule.rates(t)
    wanted = STD**2 * sigma**2 / (alpha**2 * STD**2 + sigma**2)
    torch.testing.assert_close(found.data, wanted, rtol=0.03, atol=0)  # 40,000 squares: a deviation of 0.7 %
    torch.testing.assert_close(gaussian_error(STD**2, alpha, sigma), wanted)
    # One error in three units, exactly.
    torch.testing.assert_close(found.noise, (alpha / sigma) ** 2 * found.data)
    torch.testing.assert_close(found.velocity, (alpha_rate - sigma_rate * alpha / sigma) ** 2 * found.data)


def test_a_worse_denoiser_errs_more() -> None:
    noise = torch.Generator().manual_seed(0)
    x, epsilon = torch.randn(2, 1, 40_000, generator=noise, dtype=torch.float64)
    t, kind = torch.tensor([0.5], dtype=torch.float64), PARAMETERISATIONS["data"]
    right, wrong = (
        denoising_errors(oracle(data, SCHEDULES["cosine"], kind), STD * x, epsilon, t).data
        for data in (Mixture((0.0,), STD), Mixture((0.0,), 3 * STD))
    )
    assert wrong > 1.2 * right


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", PARAMETERISATIONS)
def test_the_score_of_a_gaussian_is_its_gradient(name: str, kind: str) -> None:
    schedule = SCHEDULES[name]
    x_t = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    for t in schedule.admissible(torch.tensor([0.05, 0.5, 0.9], dtype=torch.float64)).tolist():
        level = schedule.level(t)
        found = score(oracle(Mixture((MEAN,), STD), schedule, PARAMETERISATIONS[kind]), x_t, t)
        wanted = -(x_t - level.alpha * MEAN) / (level.alpha**2 * STD**2 + level.sigma**2)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
        world = Gaussian((MEAN,), STD).noisy_score(x_t, level.alpha, level.sigma)
        torch.testing.assert_close(world, wanted)


def test_scores_of_mixtures_are_the_gradients_of_their_densities() -> None:
    alpha, sigma = 0.8, 0.3
    noise = torch.Generator().manual_seed(0)
    noisy_std = math.hypot(alpha * 0.2, sigma)
    for world, noisy in (
        (Ring(5, 1.5, 0.2), Ring(5, alpha * 1.5, noisy_std)),
        (Grid(3, 1.0, 0.2), Grid(3, alpha * 1.0, noisy_std)),
        (Mixture1D((-1.0, 2.0), 0.2, (1, 3)), Mixture1D((-alpha, 2 * alpha), noisy_std, (1, 3))),
    ):
        points = 2 * torch.randn(50, len(world.bounds), generator=noise, dtype=torch.float64)
        points.requires_grad_()
        (wanted,) = torch.autograd.grad(noisy.log_prob(points).sum(), points)
        torch.testing.assert_close(world.noisy_score(points.detach(), alpha, sigma), wanted)
    assert TwoMoons().noisy_score(torch.zeros(1, 2), alpha, sigma) is None


def test_spread_times_stand_for_equal_shares() -> None:
    found = UniformTime().spread(4, RectifiedFlowSchedule())
    torch.testing.assert_close(found, torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=torch.float64))
    assert UniformTime().spread(8, SCHEDULES["DDPM"]).mul(1000).frac().abs().max() < 1e-9
    noise = -0.5 * EDMSchedule().log_snr(LogNormalNoise(-1.2, 0.8).spread(10_000, EDMSchedule()))
    assert noise.mean().item() == pytest.approx(-1.2, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.8, abs=2e-3)
    drawn = LogNormalNoise(-1.2, 0.8).sample(20_000, EDMSchedule(), torch.Generator().manual_seed(0), found.device)
    assert -0.5 * EDMSchedule().log_snr(drawn).mean().item() == pytest.approx(-1.2, abs=0.03)
