"""Densities of points: KL to the truth in closed form, the picture's panels, and the way that latents take."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer

from lit_gen.callbacks import PointsView
from lit_gen.callbacks.points_density import density_of, forward_kl, stages_of
from lit_gen.datamodules import Points2D
from lit_gen.functional.curved_worlds import TwoMoons
from lit_gen.functional.worlds import Gaussian, Mixture1D, World
from lit_gen.models import NormalizingFlow
from lit_gen.nn.dense_flows import DenseRealNVP
from lit_gen.nn.dequantisation import NoDequantisation


class Known(LightningModule):
    """A model that knows a world, and draws from it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.image_shape = world, (len(world.bounds), 1, 1)

    def sample(self, num: int, label: Any = None, generator: Any = None) -> torch.Tensor:
        return self.world.sample(num, generator)[:, :, None, None]

    def log_prob(self, image: torch.Tensor, label: Any = None, generator: Any = None) -> torch.Tensor:
        return self.world.log_prob(image.flatten(1))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


def flow() -> NormalizingFlow:
    return NormalizingFlow((2, 1, 1), flow=partial(DenseRealNVP, couplings=2, width=8), dequantisation=NoDequantisation)


def test_the_divergence_is_that_of_gaussians() -> None:
    """KL(N(0, 1) ‖ N(μ, s²)) = log s + (1 + μ²)/(2 s²) − 1/2 for each coordinate."""
    truth, model = Gaussian((0.0, 0.0), 1.0), Known(Gaussian((1.0, 0.0), 2.0))
    wanted = 2 * math.log(2) + (1 + 1) / 8 + 1 / 8 - 1
    assert forward_kl(model, truth, 100_000, 0) == pytest.approx(wanted, abs=0.01)
    assert forward_kl(Known(truth), truth, 100, 0) == pytest.approx(0.0, abs=1e-5)
    assert forward_kl(model, TwoMoons(), 100, 0) is None and forward_kl(LightningModule(), truth, 100, 0) is None


def test_the_density_is_the_models_where_the_grid_is() -> None:
    world = Gaussian((2.0, -1.0), 0.5)
    density = density_of(Known(world), world, 40, 0)
    assert density is not None and density.truth is not None
    torch.testing.assert_close(density.values, density.truth, rtol=1e-4, atol=1e-6)
    (low, high), _ = world.bounds
    assert float(density.values.sum()) * ((high - low) / 40) ** 2 == pytest.approx(1.0, abs=1e-3)
    assert density_of(LightningModule(), world, 40, 0) is None
    assert density_of(Known(world), TwoMoons(), 40, 0).truth is None


def test_stages_run_from_latents_towards_points() -> None:
    model = flow().eval()
    with torch.no_grad():
        stages = stages_of(model, 50, 0)
    names, points = zip(*stages, strict=True)
    assert names[0] == "latents" and len(stages) == 3
    assert torch.equal(points[0], model.latents(50, torch.Generator().manual_seed(0)))
    assert stages_of(Known(Gaussian()), 50, 0) == []


@pytest.mark.parametrize(("world", "make", "panels"), [(Gaussian(), flow, 5), (Mixture1D(), None, 1)])
def test_a_run_draws_and_measures_it(
    world: World, make: Any, panels: int, tmp_path: Path, trainer: Callable[..., Trainer]
) -> None:
    data = Points2D(world, num_train=64, num_val=500, num_test=32, batch_size=16)
    run = trainer(callbacks=[PointsView(every_n_steps=2)], max_steps=2, val_check_interval=2)
    if make is None:
        view, model = PointsView(), Known(world)
        view._world = world
        picture = view._figure(model, 0).permute(1, 2, 0).numpy()
        run.validate(model, datamodule=data, verbose=False)
        assert run.callback_metrics["points/forward_kl"] == pytest.approx(0.0, abs=1e-5)
    else:
        run.fit(make(), datamodule=data)
        picture = numpy.array(Image.open(tmp_path / "samples" / "step_00000002.png"))
        assert torch.isfinite(run.callback_metrics["points/forward_kl"])
    assert picture.shape == (400, 420 * panels, 3) and picture.std() > 20
