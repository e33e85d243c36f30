"""Guidance by a classifier, on mixtures of Gaussians whose classes' probabilities are known at every level of noise."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lit_gen.functional.adaptive_ode import AdaptiveODE
from lit_gen.functional.classifier_guidance import LabelLikelihood, guided_by, of_clean_images
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.ode_samplers import Heun
from lit_gen.functional.sampler import Prediction
from lit_gen.functional.samplers import Ancestral

_spec = importlib.util.spec_from_file_location("diffusion_oracle", Path(__file__).with_name("diffusion_oracle.py"))
oracles = importlib.util.module_from_spec(_spec)
sys.modules["diffusion_oracle"] = oracles
_spec.loader.exec_module(oracles)

PARAMETERISATIONS, SCHEDULES, Mixture = oracles.PARAMETERISATIONS, oracles.SCHEDULES, oracles.Mixture
levels_between, oracle = oracles.levels_between, oracles.oracle
DATA = Mixture((-1.5, 0.2, 1.0), 0.4)
CLASSES = [Mixture((mean,), DATA.std) for mean in DATA.means]


def exact(schedule: NoiseSchedule) -> LabelLikelihood:
    """Returns log p(y|x_t) of the mixture, each Gaussian being a class."""

    def log_prob(x_t: Tensor, t: Tensor, prediction: Prediction, label: Tensor) -> Tensor:
        alpha, sigma = (value[:, None] for value in schedule.at(t))
        means = torch.tensor(DATA.means, dtype=torch.float64)
        logits = -0.5 * (x_t - alpha * means) ** 2 / ((alpha * DATA.std) ** 2 + sigma**2)
        return logits.log_softmax(1).gather(1, label[:, None])[:, 0]

    return log_prob


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_with_the_exact_posterior_it_is_the_denoiser_of_the_class(name: str, scale: float) -> None:
    """∇ log p(y|x_t) = (α/σ²) (E[x|x_t, y] − E[x|x_t]), so that scale 1 gives the class's expected image exactly."""
    schedule, kind = SCHEDULES[name], PARAMETERISATIONS["epsilon"]
    denoise, label = oracle(DATA, schedule, kind), torch.tensor([0, 1, 2, 1, 0])
    guided = guided_by(denoise, exact(schedule), label, scale)
    for level in levels_between(schedule, 6):
        x_t = level.alpha * torch.linspace(-2, 2, 5).double()[:, None] + level.sigma * torch.randn(5, 1).double()
        found, free = guided(x_t, level.t), denoise(x_t, level.t)
        told = torch.cat([oracle(CLASSES[y], schedule, kind)(x_t[i : i + 1], level.t).x for i, y in enumerate(label)])
        torch.testing.assert_close(found.x, free.x + scale * (told - free.x), rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(level.alpha * found.x + level.sigma * found.epsilon, x_t)
        assert not found.x.requires_grad


@pytest.mark.parametrize("sampler", [Ancestral(6), Heun(6), AdaptiveODE(1e-6, 1e-6)], ids=lambda s: type(s).__name__)
def test_chains_are_those_of_the_class(sampler: Ancestral | Heun | AdaptiveODE) -> None:
    schedule, kind = SCHEDULES["cosine"], PARAMETERISATIONS["v"]
    levels, label = levels_between(schedule, 6), torch.tensor([2, 0, 1])
    x = torch.randn(3, 1, generator=torch.Generator().manual_seed(0)).double()

    def end(denoise: object, start: Tensor) -> Tensor:
        noise = torch.Generator().manual_seed(1)
        drawn = iter([torch.randn(3, 1, generator=noise).double() for _ in range(20)])
        return list(sampler.chain(start, levels, denoise, lambda: next(drawn)))[-1].x  # type: ignore[arg-type]

    guided = end(guided_by(oracle(DATA, schedule, kind), exact(schedule), label, 1.0), x)
    for i, y in enumerate(label):
        torch.testing.assert_close(guided[i], end(oracle(CLASSES[y], schedule, kind), x)[i], rtol=1e-4, atol=1e-4)


def test_samples_have_the_distribution_of_their_class() -> None:
    schedule, num = SCHEDULES["rectified flow"], 500
    levels, label = levels_between(schedule, 1), torch.arange(3).repeat_interleave(num)
    quantiles = torch.special.ndtri((torch.arange(num).double() + 0.5) / num).repeat(3)
    std = math.hypot(levels[0].alpha * DATA.std, levels[0].sigma)
    start = (levels[0].alpha * torch.tensor(DATA.means).double()[label] + std * quantiles)[:, None]
    guided = guided_by(oracle(DATA, schedule, PARAMETERISATIONS["velocity"]), exact(schedule), label, 1.0)
    end = list(AdaptiveODE(1e-5, 1e-5).chain(start, levels, guided, lambda: start))[-1].x.view(3, num)
    for y, mean in enumerate(DATA.means):
        assert end[y].mean().item() == pytest.approx(levels[1].alpha * mean, abs=5e-3)
        assert end[y].std().item() == pytest.approx(math.hypot(levels[1].alpha * DATA.std, levels[1].sigma), rel=1e-2)


def test_a_classifier_of_clean_images_is_asked_about_the_image_expected() -> None:
    """Of data N(m, s²) that is linear, x = m + α s²/(α² s² + σ²) (x_t − α m), and so is the chain rule."""
    data, schedule, slope, scale = Mixture((0.3,), 0.8), SCHEDULES["cosine"], 2.0, 1.7
    classify = of_clean_images(lambda x: torch.cat([-slope * x, torch.zeros_like(x)], dim=1), schedule, -10.0)
    denoise = oracle(data, schedule, PARAMETERISATIONS["data"])
    label, x_t = torch.tensor([1, 0, 1]), torch.tensor([[-1.0], [0.1], [2.0]], dtype=torch.float64)
    guided = guided_by(denoise, classify, label, scale)
    for level in levels_between(schedule, 4):
        gain = level.alpha * data.std**2 / ((level.alpha * data.std) ** 2 + level.sigma**2)
        x = 0.3 + gain * (x_t - level.alpha * 0.3)
        sign = (2 * label - 1)[:, None]
        gradient = gain * slope * sign * (-slope * sign * x).sigmoid()  # d/dx log sigmoid(±slope x)
        wanted = x + scale * level.sigma**2 / level.alpha * gradient
        torch.testing.assert_close(guided(x_t, level.t).x, wanted)
        said = denoise(x_t, level.t)
        found = classify(x_t, torch.full((3,), level.t).double(), said, label)
        torch.testing.assert_close(found, logsigmoid(sign * slope * x)[:, 0])


def test_a_classifier_of_clean_images_is_right_where_there_is_little_noise() -> None:
    schedule, label = SCHEDULES["cosine"], torch.tensor([1, 2, 2, 1])
    means = torch.tensor(DATA.means, dtype=torch.float64)
    clean = of_clean_images(lambda image: -0.5 * (image - means) ** 2 / DATA.std**2, schedule)
    denoise = oracle(DATA, schedule, PARAMETERISATIONS["data"])
    errors = []
    for log_snr in (-2.0, 2.0, 6.0, 10.0):
        level = schedule.level(float(schedule.time_of(torch.tensor(log_snr, dtype=torch.float64))))
        x_t = level.alpha * torch.tensor([[-0.5], [0.5], [0.6], [0.9]], dtype=torch.float64)
        free, (found, wanted) = (
            denoise(x_t, level.t).x,
            (guided_by(denoise, log_prob, label, 1.0)(x_t, level.t).x for log_prob in (clean, exact(schedule))),
        )
        errors.append(((found - wanted).norm() / (wanted - free).norm()).item())
    assert errors == sorted(errors, reverse=True) and errors[0] > 0.2 and errors[-1] < 1e-3


def test_a_classifier_of_clean_images_is_not_asked_about_noise() -> None:
    schedule, label, x_t = SCHEDULES["rectified flow"], torch.tensor([1, 0]), torch.tensor([[0.3], [-1.0]]).double()
    denoise = oracle(DATA, schedule, PARAMETERISATIONS["velocity"])
    for least, log_snr, asked in ((-4.0, -4.5, False), (-4.0, -3.5, True), (1.0, 0.5, False)):
        t = float(schedule.time_of(torch.tensor(log_snr, dtype=torch.float64)))
        classify = of_clean_images(lambda x: torch.cat([x, -x], dim=1), schedule, least)
        guided, free = guided_by(denoise, classify, label, 2.0)(x_t, t), denoise(x_t, t)
        assert torch.equal(guided.x, free.x) != asked and torch.equal(guided.epsilon, free.epsilon) != asked


def test_rows_and_inference_mode() -> None:
    schedule, label = SCHEDULES["EDM"], torch.tensor([0, 1, 2, 1])
    guided = guided_by(oracle(DATA, schedule, PARAMETERISATIONS["EDM"]), exact(schedule), label, 2.0)
    x_t = torch.randn(4, 1, dtype=torch.float64)
    whole, rows = guided(x_t, 0.4), torch.tensor([3, 0])
    torch.testing.assert_close(guided(x_t[rows], 0.4, rows).x, whole.x[rows])
    with torch.inference_mode():
        torch.testing.assert_close(guided(x_t.clone(), 0.4).x, whole.x)
