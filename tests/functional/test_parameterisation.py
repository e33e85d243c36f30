"""Parameterisations say the same in other words; weights and times of training are the papers'."""

import itertools
import math
from typing import Any

import pytest
import scipy.stats
import torch

from lit_gen.errors import UserError
from lit_gen.functional.diffusion_weighting import (
    EDMWeighting,
    MinSNRWeighting,
    SimpleWeighting,
    SoftMinSNRWeighting,
)
from lit_gen.functional.noise_schedules import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    RectifiedFlowSchedule,
    SigmoidSchedule,
)
from lit_gen.functional.optimal_transport import transported
from lit_gen.functional.parameterisation import (
    DataPrediction,
    EDMPreconditioning,
    EpsilonPrediction,
    VelocityPrediction,
    VPrediction,
)
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.functional.time_distribution import LogitNormalTime, LogNormalNoise, UniformTime

SCHEDULES: list[Any] = [
    LinearSchedule(),
    CosineSchedule(),
    SigmoidSchedule(),
    EDMSchedule(),
    RectifiedFlowSchedule(),
    LinearBetas(),
]
KINDS: list[Any] = [
    EpsilonPrediction(),
    DataPrediction(),
    VPrediction(),
    VelocityPrediction(),
    EDMPreconditioning(0.7),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda k: type(k).__name__)


def example(schedule: Any, num: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns images, noise, times, and noisy images."""
    generator = torch.Generator().manual_seed(0)
    x, epsilon = (torch.randn(num, 2, 3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    t = schedule.admissible(torch.linspace(0.02, 0.98, num, dtype=torch.float64))
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.at(t))
    return x, epsilon, t, alpha * x + sigma * epsilon


@every_schedule
def test_all_convert_into_each_other(schedule: Any) -> None:
    x, epsilon, t, x_t = example(schedule)
    for one, other in itertools.product(KINDS, KINDS):
        said = one.target(x, epsilon, t, schedule)
        parts = one.parts(said, x_t, t, schedule)
        torch.testing.assert_close(parts[0], x, rtol=0, atol=1e-6)
        torch.testing.assert_close(parts[1], epsilon, rtol=0, atol=1e-6)
        converted = other.target(*parts, t, schedule)
        torch.testing.assert_close(converted, other.target(x, epsilon, t, schedule), rtol=1e-6, atol=1e-6)


@every_schedule
@every_kind
def test_an_error_of_the_output_is_so_large_an_error_of_the_image(schedule: Any, kind: Any) -> None:
    x, epsilon, t, x_t = example(schedule)
    said = kind.target(x, epsilon, t, schedule)
    found, noise = kind.parts(said + 1, x_t, t, schedule)
    data_error = kind.data_error(t, schedule)
    torch.testing.assert_close((found - x).square()[:, 0, 0, 0], data_error, rtol=1e-6, atol=1e-12)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.at(t))
    torch.testing.assert_close(alpha * found + sigma * noise, x_t, rtol=0, atol=1e-9)  # what it says fits what it saw


def test_targets_are_the_papers() -> None:
    x, epsilon, t, x_t = example(RectifiedFlowSchedule())
    velocity = VelocityPrediction().target(x, epsilon, t, RectifiedFlowSchedule())
    torch.testing.assert_close(velocity, epsilon - x)
    schedule = CosineSchedule()
    x, epsilon, t, x_t = example(schedule)
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in schedule.at(t))
    v = VPrediction().target(x, epsilon, t, schedule)
    torch.testing.assert_close(alpha * x_t - sigma * v, x)
    assert torch.equal(EpsilonPrediction().target(x, epsilon, t, schedule), epsilon)
    assert torch.equal(EpsilonPrediction().condition(t, schedule), 1000 * t)


def test_preconditioning_is_the_papers() -> None:
    kind, schedule = EDMPreconditioning(0.5), EDMSchedule()
    x, _epsilon, t, x_t = example(schedule)
    sigma = schedule.at(t)[1]
    skip, out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
    said = torch.randn_like(x)
    wanted = skip.view(-1, 1, 1, 1) * x_t + out.view(-1, 1, 1, 1) * said
    torch.testing.assert_close(kind.parts(said, x_t, t, schedule)[0], wanted)
    torch.testing.assert_close(kind.input_scale(t, schedule), 1 / (sigma**2 + 0.25).sqrt())
    torch.testing.assert_close(kind.condition(t, schedule), sigma.log() / 4)


@every_schedule
def test_preconditioned_inputs_and_targets_have_variance_one(schedule: Any) -> None:
    """For data of the stated deviation: the coefficients' squares say so."""
    kind, t = EDMPreconditioning(0.7), example(schedule)[2]
    alpha, sigma = schedule.at(t)
    a, b = kind.mixture(t, schedule)
    ones = torch.ones_like(t)
    torch.testing.assert_close((a * 0.7).square() + b.square(), ones)
    torch.testing.assert_close(kind.input_scale(t, schedule).square() * ((alpha * 0.7) ** 2 + sigma**2), ones)


@pytest.mark.parametrize(
    "schedule", [LinearSchedule(), CosineSchedule(), LinearBetas()], ids=lambda s: type(s).__name__
)
def test_weights_are_the_papers_for_each_parameterisation(schedule: Any) -> None:
    t = example(schedule)[2]
    snr, gamma = schedule.log_snr(t).exp(), 5.0
    least = snr.clamp(max=gamma)

    def weight(weighting: Any, kind: Any) -> torch.Tensor:
        return weighting.weight(snr, kind.data_error(t, schedule))

    torch.testing.assert_close(weight(MinSNRWeighting(gamma), DataPrediction()), least)
    torch.testing.assert_close(weight(MinSNRWeighting(gamma), EpsilonPrediction()), least / snr)
    torch.testing.assert_close(weight(MinSNRWeighting(gamma), VPrediction()), least / (snr + 1))
    torch.testing.assert_close(weight(SoftMinSNRWeighting(4.0), DataPrediction()), 1 / (1 / snr + 1 / 4))
    torch.testing.assert_close(weight(EDMWeighting(0.5), EDMPreconditioning(0.5)), torch.ones_like(t))
    torch.testing.assert_close(weight(EDMWeighting(0.5), DataPrediction()), snr + 4)
    assert torch.equal(weight(SimpleWeighting(), VPrediction()), torch.ones_like(t))


def test_edm_weights_are_the_papers() -> None:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    sigma = EDMSchedule().at(t)[1]
    wanted = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
    found = EDMWeighting(0.5).weight(EDMSchedule().log_snr(t).exp(), DataPrediction().data_error(t, EDMSchedule()))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("stratified", [False, True])
def test_times_have_their_distribution(stratified: bool) -> None:
    def drawn(distribution: Any, schedule: Any) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return distribution.sample(4000, schedule, generator, torch.device("cpu"))

    flow, edm = RectifiedFlowSchedule(), EDMSchedule(1e-4, 1e4)
    uniform = drawn(UniformTime(stratified), flow)
    assert scipy.stats.kstest(uniform.numpy(), "uniform").pvalue > 0.01
    logits = drawn(LogitNormalTime(0.3, 0.8, stratified), flow).logit()
    assert scipy.stats.kstest(logits.numpy(), "norm", (0.3, 0.8)).pvalue > 0.01
    log_sigma = edm.at(drawn(LogNormalNoise(stratified=stratified), edm))[1].log()
    assert scipy.stats.kstest(log_sigma.numpy(), "norm", (-1.2, 1.2)).pvalue > 0.01
    steps = (drawn(UniformTime(stratified), LinearBetas(10)) * 10).round().long()
    assert steps.unique().tolist() == list(range(1, 11))
    assert (steps.bincount()[1:] - 400).abs().max() < (2 if stratified else 80)


def test_low_discrepancy_covers_evenly() -> None:
    generator = torch.Generator().manual_seed(3)
    t = UniformTime(stratified=True).sample(64, RectifiedFlowSchedule(), generator, torch.device("cpu")).sort().values
    assert (t.diff() - 1 / 64).abs().max() < 1e-3


def test_transport_finds_the_shortest_ways() -> None:
    generator = torch.Generator().manual_seed(0)
    x, epsilon = (torch.randn(6, 2, 1, 1, generator=generator) for _ in range(2))
    found = transported(x, epsilon)
    lengths = [(x - epsilon[list(order)]).square().sum().item() for order in itertools.permutations(range(6))]
    assert (x - found).square().sum().item() == pytest.approx(min(lengths), rel=1e-6)
    assert sorted(found.flatten().tolist()) == sorted(epsilon.flatten().tolist())


def test_transport_leaves_each_class_its_noise() -> None:
    """Or the noise of a class would no longer be N(0, I), and samples of it start from that."""
    generator = torch.Generator().manual_seed(0)
    x, epsilon = (torch.randn(12, 2, 1, 1, generator=generator) for _ in range(2))
    label = torch.arange(12) % 3
    found = transported(x, epsilon, label)
    for value in range(3):
        own = label == value
        assert torch.equal(found[own], transported(x[own], epsilon[own]))
        assert sorted(found[own].flatten().tolist()) == sorted(epsilon[own].flatten().tolist())
    assert not torch.equal(found, transported(x, epsilon))


def test_what_cannot_be_is_refused() -> None:
    for make in (
        lambda: EDMPreconditioning(0.0),
        lambda: MinSNRWeighting(0.0),
        lambda: EDMWeighting(-1.0),
        lambda: LogNormalNoise(std=0.0),
        lambda: LogitNormalTime(std=-math.inf),
    ):
        with pytest.raises(UserError):
            make()
