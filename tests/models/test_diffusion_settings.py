"""Settings of diffusion models: what would draw wrong samples is refused, what is left out suits the rest."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.diffusion_likelihood import ProbabilityFlow, VariationalBound
from lit_gen.functional.noise_schedules import EDMSchedule
from lit_gen.functional.samplers import DDIM, Ancestral
from lit_gen.functional.tabulated_schedules import LinearBetas
from lit_gen.models import Diffusion

_spec = importlib.util.spec_from_file_location("diffusions", Path(__file__).with_name("diffusions.py"))
diffusions = importlib.util.module_from_spec(_spec)
sys.modules["diffusions"] = diffusions
_spec.loader.exec_module(diffusions)


def test_what_cannot_be_is_refused() -> None:
    for name, arguments, message in (
        ("edm", {"learned_variance": True}, "T steps"),
        ("points, ddim", {"optimal_transport": True}, "VelocityPrediction"),
        ("points, flow matching", {"sampler": Ancestral(3)}, "without noise"),
        ("v, guided", {"label_dropout": 1.0}, "label_dropout is 1.0"),
        ("points, ddim", {"likelihood": VariationalBound(3)}, "ProbabilityFlow for points"),
    ):
        with pytest.raises(UserError, match=message):
            diffusions.made(name, **arguments)
    with pytest.raises(UserError, match="no labels"):
        Diffusion((1, 8, 8), None, conditional=True)
    for name, arguments, message in (
        ("ddpm", {"guidance": 3.0}, "knows none"),
        ("v, guided", {"label_dropout": 0.0}, "learnt to do without labels"),
        ("v, guided", {"guidance": math.nan}, "must be finite"),
        ("ddpm", {"noise_schedule": LinearBetas(100)}, "signal-to-noise ratio of 0.57"),
        ("edm", {"noise_schedule": EDMSchedule(sigma_max=1.0)}, "signal-to-noise ratio of 1"),
        ("ddpm", {"sampler": Ancestral(3, variance="learned")}, "set model.learned_variance"),
        ("ddpm", {"likelihood": VariationalBound(3, variance="learned")}, "which need model.learned_variance"),
        ("ddpm", {"sampler": DDIM(0)}, "must be at least 1"),
        ("transformer", {"optimal_transport": True, "likelihood": VariationalBound(3)}, "needs ProbabilityFlow"),
    ):
        with pytest.raises(UserError, match=message):
            diffusions.made(name, **arguments)
    with pytest.raises(UserError, match="unconditional"):
        diffusions.made("ddpm").sample(1, torch.tensor([0]))
    with pytest.raises(UserError, match="run from 0 to 2"):
        diffusions.made("v, guided").sample(1, torch.tensor([3]))


def test_what_is_left_out_suits_the_rest() -> None:
    learned = diffusions.made("improved ddpm", sampler=None, likelihood=None)
    assert learned.sampler.variance == learned.likelihood.variance == "learned"  # type: ignore[union-attr]
    plain = diffusions.made("ddpm", sampler=None, likelihood=None)
    assert plain.sampler.variance == plain.likelihood.variance == "large"  # type: ignore[union-attr]
    coupled = diffusions.made("transformer", optimal_transport=True, likelihood=None)
    assert isinstance(coupled.likelihood, ProbabilityFlow)


def test_coupled_noise_is_not_mixed_with_other_noise() -> None:
    """Guessed noise is no score there, and images made noisy otherwise are none that the network knows."""
    model, image = diffusions.made("transformer", optimal_transport=True), torch.zeros(2, *diffusions.IMAGE)
    label = torch.tensor([0, 1])
    for use in (
        lambda: model.sample_by_classifier(label, lambda x: x.flatten(1)[:, :3], 1.0),
        lambda: model.vary(image, 0.5, label),
        lambda: model.inpaint(image, torch.zeros(2, 1, 1, 1, dtype=torch.bool), label),
    ):
        with pytest.raises(UserError, match="coupled with images"):
            use()


def test_classes_learn_from_noise_of_their_own() -> None:
    """With noise assigned over the whole batch, that of a bright class would be bright."""
    model = diffusions.made("transformer", optimal_transport=True)
    label = torch.arange(60) % 3
    x = (label - 1.0).view(-1, 1, 1, 1).expand(-1, *diffusions.IMAGE)
    torch.manual_seed(0)
    _, epsilon, _ = model.ends(x, label)
    means = torch.stack([epsilon[label == value].mean() for value in range(3)])
    assert means.abs().max() < 4 / math.sqrt(20 * 35)
    _, mixed, _ = model.ends(x, None)
    assert mixed[label == 2].mean() - mixed[label == 0].mean() > 0.2
