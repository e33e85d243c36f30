"""Tiny runs of diffusion models, of images and of points, and the diagnoses called on them."""

import csv
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

SHORT = "trainer: {max_steps: 2, val_check_interval: 2, check_val_every_n_epoch: null, accelerator: cpu}"
IMAGES = f"""
{SHORT}
model:
  class_path: Diffusion
  init_args:
    network: {{class_path: DiffusionUNet, init_args: {{features: 8, multipliers: [1, 2], blocks: 1, attention: []}}}}
    noise_schedule: {{class_path: Discretised, init_args: {{schedule: CosineSchedule, steps: 20}}}}
    sampler: {{class_path: Ancestral, init_args: {{steps: 10, variance: learned, clip: true}}}}
    learned_variance: true
    conditional: true
    guidance: 2.0
    optimizer: {{class_path: torch.optim.Adam, init_args: {{lr: 0.05}}}}
data: {{class_path: Digits, init_args: {{image_size: null, batch_size: 16}}}}
samples: {{every_n_steps: 0, first: false, num_samples: 1}}
evaluation: {{metrics: []}}
ema: {{half_life: 1000, ramp_up: null}}
"""
POINTS = f"""
{SHORT}
model:
  class_path: Diffusion
  init_args:
    network: {{class_path: DenseDenoiser, init_args: {{width: 8, depth: 1}}}}
    noise_schedule: RectifiedFlowSchedule
    parameterisation: VelocityPrediction
    sampler: {{class_path: Euler, init_args: {{steps: 6}}}}
    likelihood: {{class_path: ProbabilityFlow, init_args: {{trace: exact, rtol: 0.1, atol: 0.1}}}}
    optimal_transport: true
data: {{class_path: Points2D, init_args: {{num_train: 64, num_val: 0, num_test: 60, batch_size: 32}}}}
points: {{every_n_steps: 0, num_points: 10, num_drawn: 10}}
"""


@pytest.fixture(scope="session")
def images(fit, tmp_path_factory) -> Path:
    """A run of a conditional model with learned variances."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "images.yaml").write_text(IMAGES)
    return fit(folder, "--config", "images.yaml")


@pytest.fixture(scope="session")
def points(fit, tmp_path_factory) -> Path:
    """A run on a ring, of flow matching by optimal transport."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "points.yaml").write_text(POINTS)
    return fit(folder, "--config", "points.yaml")


@pytest.fixture
def see(lit_gen):
    """``lit-gen diagnose`` of a run into the folder ``out``; returns what it said and its table."""

    def run(kind: str, checkpoint: Any, *arguments: object, status: int = 0):
        before = sorted(Path().iterdir())
        ckpt = () if checkpoint is None else ("--ckpt_path", checkpoint)
        said = lit_gen("diagnose", kind, *ckpt, "--output", "out", *arguments)
        assert said.status == status, said.err
        if status:
            assert said.err.count("\n") == 1 and sorted(Path().iterdir()) == before, said.err
            return said, []
        assert {f"{kind}.png", f"{kind}.csv"} <= {path.name for path in Path("out").iterdir()}
        with Image.open(f"out/{kind}.png") as image:
            assert min(image.size) > 100 and len(numpy.unique(numpy.asarray(image.convert("L")))) > 5
        with open(f"out/{kind}.csv", newline="", encoding="utf-8") as file:
            return said, list(csv.DictReader(file))

    return run
