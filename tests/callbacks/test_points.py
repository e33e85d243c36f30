"""Points: the numbers are those of the points, the picture is drawn, and all that is for pictures stays off."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer

from lit_gen.callbacks import EMA, Evaluation, PointsView, RunCheckpoints, SampleGrid
from lit_gen.callbacks.figures import new_figure
from lit_gen.callbacks.points_figure import Field, _draw_line, _optimum, figure_of_points
from lit_gen.datamodules import Points2D
from lit_gen.errors import UserError
from lit_gen.functional.curved_worlds import TwoMoons
from lit_gen.functional.mode_coverage import cell_centres
from lit_gen.functional.worlds import Gaussian, Mixture1D, Ring, World
from lit_gen.models import GAN
from lit_gen.nn.dense import DenseDiscriminator, DenseGenerator


@pytest.fixture
def points() -> Callable[..., Points2D]:
    def make(world: World) -> Points2D:
        return Points2D(world, num_train=64, num_val=500, num_test=32, batch_size=16)

    return make


def dense(world: World, **arguments: Any) -> GAN:
    torch.manual_seed(0)
    generator = partial(DenseGenerator, width=8, output="linear")
    shape = (len(world.bounds), 1, 1)
    return GAN(shape, None, generator=generator, discriminator=partial(DenseDiscriminator, width=8), **arguments)


class Truth(LightningModule):
    """A model that draws the world itself, or only its first mode."""

    def __init__(self, world: World, collapsed: bool = False) -> None:
        super().__init__()
        self.world, self.collapsed, self.image_shape = world, collapsed, (2, 1, 1)

    def sample(self, num: int, label: Any = None, generator: Any = None) -> torch.Tensor:
        if self.collapsed:
            points = self.world.modes[0].float() + self.world.std * torch.randn(num, 2, generator=generator)
        else:
            points = self.world.sample(num, generator)
        return points[:, :, None, None]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


def measured(model: LightningModule, data: Points2D, trainer: Callable[..., Trainer]) -> dict[str, float]:
    run = trainer(callbacks=[PointsView()], limit_val_batches=1)
    run.validate(model, datamodule=data, verbose=False)
    return {name.removeprefix("points/"): float(value) for name, value in run.callback_metrics.items()}


def test_the_truth_measures_as_the_truth(points: Any, trainer: Callable[..., Trainer]) -> None:
    values = measured(Truth(Ring()), points(Ring()), trainer)
    assert values["modes"] == 8 and values["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.005)
    assert 0 < values["kl"] < 0.05 and 0 < values["js"] < 0.02
    assert values["mean_error"] < 0.05 and values["covariance_error"] < 0.05


def test_a_collapsed_model_measures_as_collapsed(points: Any, trainer: Callable[..., Trainer]) -> None:
    values = measured(Truth(Ring(), collapsed=True), points(Ring()), trainer)
    assert values["modes"] == 1 and values["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.005)
    assert values["kl"] == pytest.approx(math.log(8.0), abs=0.02)
    assert values["mean_error"] == pytest.approx(2.0, abs=0.01)


def test_without_a_density_the_split_is_the_truth(trainer: Callable[..., Trainer]) -> None:
    world = TwoMoons()
    values = measured(Truth(world), Points2D(world, num_train=64, num_val=50_000), trainer)
    assert set(values) == {"kl", "js", "mean_error", "covariance_error"}
    assert values["js"] < 0.1


@pytest.mark.parametrize("world", [Ring(), TwoMoons(), Mixture1D(), Gaussian()], ids=lambda world: type(world).__name__)
def test_a_run_draws_measures_and_keeps_the_best(
    world: World, tmp_path: Path, points: Any, trainer: Callable[..., Trainer]
) -> None:
    checkpoints = RunCheckpoints(monitor=PointsView.monitor)
    checkpoints.folder = tmp_path
    callbacks = [EMA(100), PointsView(every_n_steps=2), SampleGrid(every_n_steps=1), Evaluation(), checkpoints]
    run = trainer(callbacks=callbacks, max_steps=4, val_check_interval=2, enable_checkpointing=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*Evaluation is off")
        run.fit(dense(world), datamodule=points(world))
    drawn = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert drawn == [f"step_0000000{step}.png" for step in (0, 2, 4)]
    picture = numpy.array(Image.open(tmp_path / "samples" / drawn[-1]))
    panels = {Ring: 3, Gaussian: 3, TwoMoons: 2, Mixture1D: 2}[type(world)]
    assert picture.shape == (400, 420 * panels, 3) and picture.std() > 20
    assert torch.isfinite(run.callback_metrics["points/kl"])
    assert (tmp_path / "best.ckpt").is_file() and (tmp_path / "last.ckpt").is_file()
    run.test(dense(world), datamodule=points(world), verbose=False)
    assert torch.isfinite(run.callback_metrics["points/js"])


def test_on_images_it_is_off(gan: Any, digits: Any, tmp_path: Path, trainer: Callable[..., Trainer]) -> None:
    run = trainer(callbacks=[PointsView(every_n_steps=1)], max_steps=2, val_check_interval=1)
    run.fit(gan(), datamodule=digits())
    assert not (tmp_path / "samples").exists() and not any("points" in name for name in run.callback_metrics)


def test_points_that_are_nan_are_bad_points_and_no_error() -> None:
    view = PointsView(num_points=100)
    view._world = Ring()
    view._truth = view._masses(None, "val")  # type: ignore[arg-type]
    values = view.measure(torch.full((100, 2), math.nan))
    assert values["modes"] == values["high_quality"] == 0 and values["kl"] > 10
    field = Field(cell_centres(Ring().bounds, 10), torch.zeros(100), 10)
    assert figure_of_points(Ring(), Ring().sample(10), torch.full((10, 2), math.nan), field, "").shape[0] == 3


def test_points_outside_a_line_are_missing_from_its_histogram() -> None:
    """Half the points lie outside, a quarter are NaN: a quarter is left to see, and none of it stands at 0."""
    world = Mixture1D()
    generated = torch.cat([torch.full((50, 1), 99.0), torch.full((25, 1), math.nan), torch.full((25, 1), 4.0)])
    _, axes = new_figure()
    _draw_line(axes, world, world.sample(100), generated, None, None, "")
    bars = [bar for bar in axes[0].containers[1] if bar.get_height()]
    assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(0.25)
    assert all(abs(bar.get_x() - 4.0) < 0.5 for bar in bars)


def test_where_the_model_is_right_the_optimum_is_a_half() -> None:
    world = Gaussian((0.0, 0.0))
    centres = cell_centres(((-1.0, 1.0),) * 2, 20)
    samples = world.sample(5000, torch.Generator().manual_seed(0))
    optimum, said = _optimum(world, samples, Field(centres, torch.zeros(400), 20))
    assert optimum is not None and (optimum - 0.5).abs().max() < 0.1 and "kernel density" in said


def test_the_field_is_the_discriminators(trainer: Callable[..., Trainer], points: Any) -> None:
    world = Ring()
    model, view = dense(world), PointsView()
    view._world = world
    torch.nn.init.zeros_(model.discriminator.layers[-1].weight)
    torch.nn.init.constant_(model.discriminator.layers[-1].bias, 2.0)
    with torch.no_grad():
        field = view._field(model)
    assert field is not None and torch.allclose(field.verdict, torch.tensor(2.0).sigmoid().double())
    assert view._field(Truth(world)) is None


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="num_points"):
        PointsView(num_points=1)
