"""Noise schedules: the papers' numbers, a falling SNR, rates and inverses."""

import math
from typing import Any

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import CLEAN, VariancePreserving
from lit_gen.functional.noise_schedules import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    RectifiedFlowSchedule,
    SigmoidSchedule,
)
from lit_gen.functional.tabulated_schedules import Discretised, LinearBetas
from lit_gen.functional.time_grid import KarrasGrid, QuadraticGrid, UniformGrid

SCHEDULES: dict[str, Any] = {
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "sigmoid": SigmoidSchedule(),
    "EDM": EDMSchedule(),
    "rectified flow": RectifiedFlowSchedule(),
    "DDPM": LinearBetas(),
    "improved DDPM": Discretised(CosineSchedule()),
}
every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def times(schedule: Any, num: int = 501) -> torch.Tensor:
    return torch.linspace(*schedule.span, num, dtype=torch.float64)


@every
def test_the_signal_to_noise_ratio_falls(schedule: Any) -> None:
    log_snr = schedule.log_snr(times(schedule))
    assert log_snr.isfinite().all() and (log_snr.diff() < 0).all()
    assert log_snr[0] > 8 and log_snr[-1] < -8
    alpha, sigma = schedule.at(times(schedule))
    if isinstance(schedule, VariancePreserving):
        torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(alpha), rtol=1e-12, atol=0)
        alpha, sigma = schedule.at(torch.zeros(1, dtype=torch.float64))
        assert (alpha.item(), sigma.item()) == (CLEAN.alpha, CLEAN.sigma)


@every
def test_rates_are_derivatives(schedule: Any) -> None:
    # Within the steps of a table, where it is smooth.
    t, h = times(schedule, 101)[1:-1], 1e-6
    t = t if schedule.steps is None else ((t * schedule.steps).floor() + 0.5) / schedule.steps
    for rate, later, earlier in zip(schedule.rates(t), schedule.at(t + h), schedule.at(t - h), strict=True):
        torch.testing.assert_close(rate, (later - earlier) / (2 * h), rtol=1e-5, atol=1e-7)


@every
def test_times_are_found_again(schedule: Any) -> None:
    t = times(schedule)
    torch.testing.assert_close(schedule.time_of(schedule.log_snr(t)), t, rtol=0, atol=1e-9)


def test_ddpm_has_the_papers_numbers() -> None:
    betas = [1e-4 + i * (0.02 - 1e-4) / 999 for i in range(1000)]
    alpha_bar, product = [], 1.0
    for beta in betas:
        product *= 1 - beta
        alpha_bar.append(product)
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    wanted = torch.tensor(alpha_bar, dtype=torch.float64)
    torch.testing.assert_close(LinearBetas().at(t)[0].square(), wanted, rtol=1e-12, atol=0)
    # The continuous schedule is the limit of many steps.
    torch.testing.assert_close(LinearSchedule().at(t)[0].square()[:500], wanted[:500], rtol=2e-2, atol=0)


def test_improved_ddpm_has_the_papers_numbers() -> None:
    def f(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    t = torch.tensor([0.001, 0.3, 0.9], dtype=torch.float64)
    wanted = torch.tensor([f(0.001) / f(0), f(0.3) / f(0), f(0.9) / f(0)], dtype=torch.float64)
    torch.testing.assert_close(CosineSchedule().at(t)[0].square(), wanted, rtol=1e-12, atol=0)
    discrete = Discretised(CosineSchedule())
    torch.testing.assert_close(discrete.at(t)[0].square(), wanted, rtol=1e-10, atol=0)
    end, before = (discrete.level(i / 1000).alpha ** 2 for i in (1000, 999))
    assert end / before == pytest.approx(0.001)  # β is at most 0.999


def test_edm_and_rectified_flow_have_the_papers_numbers() -> None:
    edm, flow = EDMSchedule(), RectifiedFlowSchedule()
    assert edm.level(0.0)[1:3] == pytest.approx((1.0, 0.002)) and edm.level(1.0)[1:3] == pytest.approx((1.0, 80.0))
    assert flow.level(0.25)[1:] == (0.75, 0.25, -1.0, 1.0)
    assert edm.prior_std == 80.0 and flow.prior_std == 1.0


def test_sigmoid_is_the_papers() -> None:
    def s(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    wanted = (-s((0.3 * 6 - 3) / 0.7) + s(3 / 0.7)) / (s(3 / 0.7) - s(-3 / 0.7))
    assert SigmoidSchedule(temperature=0.7).level(0.3).alpha ** 2 == pytest.approx(wanted, rel=1e-12)


@every
@pytest.mark.parametrize("grid", [UniformGrid(), QuadraticGrid(), KarrasGrid()], ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("num", [1, 2, 7, 1000])
def test_grids_go_from_noise_to_none(schedule: Any, grid: Any, num: int) -> None:
    levels = grid.levels(num, schedule)
    assert levels[-1] == CLEAN and len(levels) <= num + 1
    assert levels[0].t == pytest.approx(schedule.span[1], abs=1e-9)
    t = torch.tensor([level.t for level in levels[:-1]], dtype=torch.float64)
    assert (t.diff() < 0).all() and (t >= schedule.span[0] - 1e-12).all()
    if schedule.steps:
        torch.testing.assert_close((t * schedule.steps).round(), t * schedule.steps, rtol=0, atol=1e-9)


def test_grids_are_the_papers() -> None:
    levels = KarrasGrid().levels(18, EDMSchedule())

    def wanted(low: float) -> list[float]:
        return [(80 ** (1 / 7) + i / 17 * (low ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]

    assert [level.sigma for level in levels] == pytest.approx([*wanted(0.002), 0.0], rel=1e-9)
    own = [level.sigma for level in KarrasGrid().levels(3, EDMSchedule(0.001, 200.0))]
    middle = ((200 ** (1 / 7) + 0.001 ** (1 / 7)) / 2) ** 7
    assert own == pytest.approx([200, middle, 0.001, 0])
    # Of a schedule that ends in pure noise all but the first lie where the paper's do.
    noise = [level.sigma / level.alpha for level in KarrasGrid().levels(19, CosineSchedule())[1:-1]]
    assert noise[-1] > 0.002 and noise == pytest.approx(wanted(noise[-1]), rel=1e-6)
    assert len(UniformGrid().levels(1000, LinearBetas())) == 1001
    steps = [round(level.t * 1000) for level in UniformGrid().levels(4, LinearBetas())]
    assert steps == [1000, 750, 500, 250, 0]
    t = [level.t for level in QuadraticGrid().levels(4, EDMSchedule())]
    assert t == pytest.approx([1, 9 / 16, 1 / 4, 1 / 16, 0])


def test_what_cannot_be_is_refused() -> None:
    for make in (
        lambda: LinearSchedule(0.0),
        lambda: CosineSchedule(0.0),
        lambda: SigmoidSchedule(1.0, 1.0),
        lambda: EDMSchedule(2.0, 1.0),
        lambda: LinearBetas(1),
        lambda: Discretised(CosineSchedule(), max_beta=1.0),
        lambda: KarrasGrid(0.5),
        lambda: KarrasGrid(7.0, 1.0, 1.0),
        lambda: UniformGrid().levels(0, EDMSchedule()),
    ):
        with pytest.raises(UserError):
            make()
