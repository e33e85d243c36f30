"""Diffusion models guided by a classifier: what it likes is drawn, each image by its own noise, told or not told."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from lit_gen.contracts import SupportsClassifierGuidance
from lit_gen.functional.ode_samplers import DPMSolver
from lit_gen.training.seeding import generators

_spec = importlib.util.spec_from_file_location("diffusions", Path(__file__).with_name("diffusions.py"))
diffusions = importlib.util.module_from_spec(_spec)
sys.modules["diffusions"] = diffusions
_spec.loader.exec_module(diffusions)

KINDS = ("ddpm", "edm", "v, guided", "improved ddpm", "transformer", "points, adaptive")


def classify(image: torch.Tensor) -> torch.Tensor:
    """Bright images are of class 2, dark ones of class 0."""
    return 4 * image.mean((1, 2, 3))[:, None] * torch.tensor([-1.0, 0.0, 1.0])


@pytest.mark.parametrize("name", KINDS)
def test_samples_follow_the_classifier(name: str) -> None:
    # Enough steps for some where there is signal, without which no classifier is asked.
    more = {"sampler": DPMSolver(16)} if name == "v, guided" else {}
    model = diffusions.made(name, **more).eval()  # which as yet expects of images some multiple of what it sees
    assert isinstance(model, SupportsClassifierGuidance)
    label = torch.tensor([0, 2, 2])
    free, guided = (model.sample_by_classifier(label, classify, scale, generators(0, range(3))) for scale in (0.0, 2.0))
    sign = (label - 1)[:, None, None, None]
    assert ((guided - free) * sign).mean((1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("name", KINDS)
def test_an_image_depends_on_its_own_noise_alone(name: str) -> None:
    model = diffusions.made(name).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    label = torch.tensor([0, 2, 2])
    free = model.sample_by_classifier(label, classify, 0.0, generators(0, range(3)))
    told = None if model.num_classes is None else label
    torch.testing.assert_close(free, model.sample(3, told, generators(0, range(3))), rtol=1e-3, atol=1e-4)
    with torch.inference_mode():  # as Lightning's test and predict are
        guided = model.sample_by_classifier(label, classify, 0.5, generators(0, range(3)))
    assert guided.isfinite().all() and guided.shape == free.shape and not guided.requires_grad
    one = model.sample_by_classifier(label[2:3], classify, 0.5, generators(0, [2]))
    torch.testing.assert_close(one[0], guided[2], rtol=1e-3, atol=1e-3)
