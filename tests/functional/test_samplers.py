"""Samplers against closed forms: with a perfect denoiser, errors fall as their order says."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.adaptive_ode import AdaptiveODE, solve
from lit_gen.functional.noise_schedule import CLEAN, Level
from lit_gen.functional.noise_schedules import EDMSchedule, RectifiedFlowSchedule, SigmoidSchedule
from lit_gen.functional.ode_samplers import DPMSolver, Euler, Heun
from lit_gen.functional.parameterisation import EpsilonPrediction, VelocityPrediction
from lit_gen.functional.sampler import Denoiser, Prediction, Sampler, State
from lit_gen.functional.samplers import DDIM, Ancestral
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.functional.time_grid import KarrasGrid, UniformGrid

_spec = importlib.util.spec_from_file_location("diffusion_oracle", Path(__file__).with_name("diffusion_oracle.py"))
oracles = importlib.util.module_from_spec(_spec)
sys.modules["diffusion_oracle"] = oracles
_spec.loader.exec_module(oracles)

GAUSSIAN, MIXTURE = oracles.Mixture((0.7,), 0.5), oracles.Mixture((-1.0, 0.4, 1.5), 0.2)
DETERMINISTIC: dict[str, Any] = {"DDIM": DDIM(), "Euler": Euler(), "Heun": Heun(), "DPM-Solver++(2M)": DPMSolver()}
RANDOM: dict[str, Any] = {
    "ancestral, large": Ancestral(),
    "ancestral, small": Ancestral(variance="small"),
    "DDIM, half": DDIM(eta=0.5),
    "DDIM, all": DDIM(eta=1.0),
    "Heun with churn": Heun(steps=40, churn=4.0),
}
every_schedule = pytest.mark.parametrize("schedule", oracles.SCHEDULES.values(), ids=oracles.SCHEDULES)
every_kind = pytest.mark.parametrize("kind", oracles.PARAMETERISATIONS.values(), ids=oracles.PARAMETERISATIONS)


def run(sampler: Sampler, x: Tensor, levels: list[Level], denoise: Denoiser) -> Tensor:
    state = State(x, levels[0])
    for level in levels[1:]:
        state = sampler.step(state, level, denoise, lambda: torch.zeros_like(x))
    return state.x


def starts(data: Any, level: Level) -> Tensor:
    """Returns points of x_t's distribution, from far left to far right, [n, 1]."""
    mean, variance = data.moments(level)
    return mean + math.sqrt(variance) * torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)[:, None]


def falls_with(order: int, errors: list[float]) -> None:
    rates = [math.log2(one / other) for one, other in itertools.pairwise(errors)]
    assert rates[-1] == pytest.approx(order, abs=0.35), (rates, errors)


@every_schedule
@every_kind
@pytest.mark.parametrize("sampler", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_a_gaussians_flow_map_is_approached_at_the_samplers_order(schedule: Any, kind: Any, sampler: Any) -> None:
    """The exact flow moves each point with its distribution's mean and deviation: so are these of the samples."""
    denoise, errors = oracles.oracle(GAUSSIAN, schedule, kind), []
    for num in (40, 80):
        levels = oracles.levels_between(schedule, num)
        x = starts(GAUSSIAN, levels[0])
        (mean, variance), (end_mean, end_variance) = (GAUSSIAN.moments(levels[i]) for i in (0, -1))
        wanted = end_mean + math.sqrt(end_variance / variance) * (x - mean)
        errors.append((run(sampler, x, levels, denoise) - wanted).abs().max().item())
    falls_with(sampler.order, errors)
    assert errors[-1] < (0.2 if sampler.order == 1 else 0.005)


@every_schedule
@pytest.mark.parametrize("sampler", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_a_mixtures_flow_map_is_approached_at_the_samplers_order(schedule: Any, sampler: Any) -> None:
    """On a line the flow keeps the share of points below each."""
    denoise, errors = oracles.oracle(MIXTURE, schedule, VelocityPrediction()), []
    for num in (150, 300):
        levels = oracles.levels_between(schedule, num)
        x = starts(MIXTURE, levels[0])
        below = MIXTURE.cdf(run(sampler, x, levels, denoise), levels[-1])
        errors.append((below - MIXTURE.cdf(x, levels[0])).abs().max().item())
    falls_with(sampler.order, errors)


def moments(
    sampler: Sampler, start: tuple[float, float], levels: list[Level], denoise: Denoiser
) -> tuple[float, float]:
    """Returns the mean and the variance at the end of a Gaussian's chain, whose steps are x → m x + b + k z."""
    mean, variance = start
    x, z = torch.tensor([[0.0], [1.0], [0.0]]).double(), torch.tensor([[0.0], [0.0], [1.0]]).double()
    for now, to in itertools.pairwise(levels):
        b, mb, kb = sampler.step(State(x, now), to, denoise, lambda: z).x.flatten().tolist()
        mean, variance = (mb - b) * mean + b, (mb - b) ** 2 * variance + (kb - b) ** 2
    return mean, variance


@every_schedule
@every_kind
@pytest.mark.parametrize("sampler", RANDOM.values(), ids=RANDOM)
def test_a_gaussians_moments_are_approached_by_samplers_with_noise(schedule: Any, kind: Any, sampler: Any) -> None:
    denoise, errors = oracles.oracle(GAUSSIAN, schedule, kind), []
    for num in (60, 120):
        levels = oracles.levels_between(schedule, num)
        mean, variance = moments(sampler, GAUSSIAN.moments(levels[0]), levels, denoise)
        wanted = GAUSSIAN.moments(levels[-1])
        errors.append(max(abs(mean - wanted[0]), abs(variance - wanted[1])))
    if isinstance(sampler, Heun):
        assert errors[-1] < 2e-3  # churn's share of noise does not fall with the number of steps here
    else:
        assert errors[-1] < 0.02
        falls_with(1, errors)


@every_schedule
def test_the_adaptive_sampler_keeps_its_tolerance(schedule: Any) -> None:
    sampler = AdaptiveODE(rtol=1e-8, atol=1e-8)
    for data in (GAUSSIAN, MIXTURE):
        (now, to), denoise = oracles.levels_between(schedule, 1), oracles.oracle(data, schedule, VelocityPrediction())
        x = starts(data, now)
        found = sampler.step(State(x, now), to, denoise, lambda: torch.zeros(())).x
        assert (data.cdf(found, to) - data.cdf(x, now)).abs().max() < 1e-6


@every_schedule
@pytest.mark.parametrize(
    "sampler",
    [Ancestral(300), DDIM(300), Euler(300), Heun(100), DPMSolver(100), AdaptiveODE(1e-4, 1e-4)],
    ids=lambda s: type(s).__name__,
)
def test_a_whole_chain_ends_in_the_data(schedule: Any, sampler: Any) -> None:
    """From noise alone by the sampler's own grid, its last step included."""
    denoise = oracles.oracle(GAUSSIAN, schedule, VelocityPrediction())
    levels = sampler.levels(schedule)
    if isinstance(sampler, Euler) and isinstance(schedule, SigmoidSchedule):
        with pytest.raises(UserError, match="take DDIM"):  # its α falls infinitely fast at t = 1
            moments(sampler, (0.0, schedule.prior_std**2), levels, denoise)
        return
    if sampler.is_random:
        mean, variance = moments(sampler, (0.0, schedule.prior_std**2), levels, denoise)
    else:
        z = torch.tensor([[0.0], [1.0]]).double() * schedule.prior_std
        middle, edge = list(sampler.chain(z, levels, denoise, lambda: z))[-1].x.flatten().tolist()
        mean, variance = middle, (edge - middle) ** 2
    assert mean == pytest.approx(0.7, abs=0.03) and variance == pytest.approx(0.25, abs=0.05)


def any_denoiser(schedule: Any) -> Denoiser:
    """Says of noise what it likes."""

    def predict(x_t: Tensor, t: Tensor, rows: Tensor | None) -> Prediction:
        return Prediction(*EpsilonPrediction().parts((3 * x_t).sin() + t[:, None], x_t, t, schedule))

    return Denoiser(schedule, predict)


def test_ancestral_sampling_is_algorithm_2() -> None:
    schedule, x = LinearBetas(), torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alphas, z = 1 - betas, torch.linspace(1, -1, 5, dtype=torch.float64)[:, None]
    alpha_bar = alphas.cumprod(0)
    for variance in ("large", "small"):
        for i in (1000, 500, 2, 1):
            now, to = schedule.level(i / 1000), schedule.level((i - 1) / 1000) if i > 1 else CLEAN
            found = Ancestral(variance=variance).step(State(x, now), to, any_denoiser(schedule), lambda: z).x
            epsilon = (3 * x).sin() + i / 1000
            a, b, bar = alphas[i - 1], betas[i - 1], alpha_bar[i - 1]
            wanted = (x - (1 - a) / (1 - bar).sqrt() * epsilon) / a.sqrt()
            if i > 1:
                small = (1 - alpha_bar[i - 2]) / (1 - bar) * b
                wanted = wanted + (b if variance == "large" else small).sqrt() * z
            torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)


def test_learned_variances_lie_between() -> None:
    schedule, x = LinearBetas(), torch.zeros(3, 1, dtype=torch.float64)
    now, to, z = schedule.level(0.5), schedule.level(0.499), torch.ones(3, 1, dtype=torch.float64)

    def found(variance: Any, between: float) -> Tensor:
        denoise = Denoiser(schedule, lambda x_t, t, rows: Prediction(x_t, x_t, torch.full_like(x_t, between)))
        return Ancestral(variance=variance).step(State(x, now), to, denoise, lambda: z).x

    torch.testing.assert_close(found("learned", 1.0), found("large", 0.0))
    torch.testing.assert_close(found("learned", 0.0), found("small", 0.0))
    middle = (found("large", 0.0) * found("small", 0.0)).sqrt()
    torch.testing.assert_close(found("learned", 0.5), middle)
    denoise = any_denoiser(schedule)
    with pytest.raises(UserError, match="learned_variance"):
        Ancestral(variance="learned").step(State(x, now), to, denoise, lambda: z)


@every_schedule
def test_ddim_with_all_its_noise_is_ancestral_sampling(schedule: Any) -> None:
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    now, to = oracles.levels_between(schedule, 4)[1:3]
    one, other = (
        sampler.step(State(x, now), to, any_denoiser(schedule), lambda: x.flip(0)).x
        for sampler in (DDIM(eta=1.0), Ancestral(variance="small"))
    )
    torch.testing.assert_close(one, other)


def test_on_straight_paths_euler_is_ddim_and_heun_is_heuns() -> None:
    schedule, x = RectifiedFlowSchedule(), torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    denoise, now, to = any_denoiser(schedule), schedule.level(0.8), schedule.level(0.6)
    euler, ddim, heun = (s.step(State(x, now), to, denoise, lambda: x).x for s in (Euler(), DDIM(), Heun()))
    torch.testing.assert_close(euler, ddim)

    def velocity(x_t: Tensor, t: float) -> Tensor:
        prediction = denoise(x_t, t)
        return prediction.epsilon - prediction.x

    first = velocity(x, 0.8)
    torch.testing.assert_close(euler, x - 0.2 * first)
    torch.testing.assert_close(heun, x - 0.1 * (first + velocity(x - 0.2 * first, 0.6)))


def test_heun_is_algorithm_2_of_edm() -> None:
    schedule, x = EDMSchedule(), torch.linspace(-3, 3, 5, dtype=torch.float64)[:, None]
    denoise, z = any_denoiser(schedule), torch.linspace(1, -1, 5, dtype=torch.float64)[:, None]
    levels = KarrasGrid().levels(18, schedule)
    sampler = Heun(steps=18, churn=5.0, churn_min=0.05, churn_max=50.0, churn_noise=1.003)
    for now, to in ((levels[0], levels[1]), (levels[7], levels[8]), (levels[17], levels[18])):
        gamma = min(5.0 / 18, math.sqrt(2) - 1) if 0.05 <= now.sigma <= 50 else 0.0
        sigma = now.sigma * (1 + gamma)
        noisy = x + math.sqrt(sigma**2 - now.sigma**2) * 1.003 * z

        def slope(x_t: Tensor, s: float) -> Tensor:
            t = schedule.time_of(torch.tensor(-2 * math.log(s), dtype=torch.float64)).item()
            return (x_t - denoise(x_t, t).x) / s

        d = slope(noisy, sigma)
        wanted = noisy + (to.sigma - sigma) * d
        if to.sigma:
            wanted = noisy + (to.sigma - sigma) * (d + slope(wanted, to.sigma)) / 2
        found = sampler.step(State(x, now), to, denoise, lambda: z).x
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", [Ancestral(clip=True), DDIM(clip=True), DPMSolver(clip=True)])
def test_images_are_clipped_where_the_sampler_says_so(sampler: Any) -> None:
    schedule, x = LinearBetas(), torch.linspace(-9, 9, 7, dtype=torch.float64)[:, None]
    now, to = schedule.level(0.5), schedule.level(0.4)
    free = type(sampler)()
    inside = Denoiser(schedule, lambda x_t, t, rows: Prediction(0.9 * x_t.sign(), x_t))
    outside = any_denoiser(schedule)
    zero = torch.zeros_like(x)

    def made(kind: Any, denoise: Denoiser) -> Tensor:
        return kind.step(State(x, now), to, denoise, lambda: zero).x

    assert not torch.allclose(made(sampler, outside), made(free, outside))
    if not isinstance(sampler, DDIM):  # whose noise here is not that of its image
        torch.testing.assert_close(made(sampler, inside), made(free, inside))
    last = sampler.step(State(x, schedule.level(1e-3)), CLEAN, outside, lambda: zero).x
    assert last.abs().max() <= 1 + 1e-12


def test_equations_are_solved_row_by_row() -> None:
    """dy/dt = −a y, with a of its own for each row; and no row knows of another."""
    a = torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)
    y = torch.ones(3, 2, dtype=torch.float64)
    for start, end in ((0.0, 1.0), (1.0, 0.5)):
        found = solve(lambda t, y, rows: -a[rows, None] * y, y, start, end, 1e-7, 1e-9)
        wanted = torch.exp(-a * (end - start))[:, None].expand(3, 2)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)
        alone = solve(lambda t, y, rows: -a[1] * y, y[1:2], start, end, 1e-7, 1e-9)
        assert torch.equal(alone[0], found[1])
    with pytest.raises(UserError, match="not solved"):
        solve(lambda t, y, rows: y * math.nan, y, 0.0, 1.0, 1e-3, 1e-3)


def test_what_cannot_be_is_refused() -> None:
    for make in (
        lambda: DDIM(eta=1.5),
        lambda: Ancestral(variance="huge"),  # type: ignore[arg-type]
        lambda: Heun(churn=-1.0),
        lambda: AdaptiveODE(rtol=0.0),
        lambda: DDIM(steps=0, grid=UniformGrid()).levels(LinearBetas()),
    ):
        with pytest.raises(UserError):
            make()
