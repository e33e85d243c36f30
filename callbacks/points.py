"""What a model makes of a toy world: numbers at every validation, and pictures."""

__all__ = ["PointsView"]

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn

from lit_gen.callbacks.points_density import density_of, forward_kl, stages_of
from lit_gen.callbacks.points_figure import Field, figure_of_points
from lit_gen.callbacks.reporting import report
from lit_gen.callbacks.run_folder import run_folder
from lit_gen.callbacks.sampling import inference
from lit_gen.contracts import ImageData, PointData, SupportsDiscriminator, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.mode_coverage import (
    cell_centres,
    cell_masses,
    cell_shares,
    covariance_error,
    high_quality_share,
    js_divergence,
    kl_divergence,
    mean_error,
    mode_counts,
    modes_found,
)
from lit_gen.functional.png import write_png
from lit_gen.functional.worlds import World

_FIELD_CELLS = 100


class PointsView(Callback):
    """Creates the callback that compares a model's points with the truth, where the data are points of a toy world.

    At the end of validation and of testing it reports, as far as the world knows its modes, density and moments:

    * ``points/modes``: the modes that hold a tenth of their fair share or more, counted within 3σ;
    * ``points/high_quality``: the share of points within 3σ of a mode;
    * ``points/kl`` and ``points/js``: KL(model ‖ truth) and the Jensen–Shannon divergence in nats, between the cell
      masses of a fixed grid (see `lit_gen.functional.mode_coverage`). Where the density is not known, the truth is the
      split's own points;
    * ``points/forward_kl``: KL(truth ‖ model) in nats, of a model with a likelihood: E_p[log p − log q], no grid;
    * ``points/mean_error`` and ``points/covariance_error``: the largest deviation of the mean, and the relative one of
      the covariance in the Frobenius norm.

    Every n steps it draws ``samples/step_00001000.png``: real and generated points, the discriminator's field D(x), if
    there is a discriminator, and its difference to the optimum D* = p/(p + q); the model's density, if it has one, and
    what latents are on their way to points, if it shows that. Points come from averaged weights, if the trainer has an
    `EMA`. On other data, and with models that do not sample, the callback is off.

    Arguments:
        every_n_steps: The steps between pictures; beside these there is one of the last step. 0 leaves only that.
        num_points: The points that numbers are computed from.
        num_drawn: The points that pictures show, and that q is estimated from.
        cells: The grid's cells per coordinate.
        seed: The seed of the points.
    """

    monitor = "points/kl"
    """The number whose lowest value makes the best checkpoint."""

    def __init__(
        self,
        every_n_steps: int = 1000,
        num_points: int = 10_000,
        num_drawn: int = 2_000,
        cells: int = 64,
        seed: int = 0,
    ) -> None:
        if every_n_steps < 0 or min(num_points, num_drawn) < 2 or cells < 1:
            raise UserError(
                "PointsView's every_n_steps must be 0 or more, num_points and num_drawn at least 2, cells at least 1"
            )
        self.every_n_steps, self.num_points, self.num_drawn = every_n_steps, num_points, num_drawn
        self.cells, self.seed = cells, seed
        self._world: World | None = None
        self._truth: Tensor | None = None
        self._last_step: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        self._world = self._truth = self._last_step = None
        if isinstance(data, PointData) and isinstance(pl_module, SupportsSample) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._world = data.world
            self._truth = self._masses(cast(ImageData, data), "test" if stage == "test" else "val")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            self._write(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._last_step != trainer.global_step:
            self._write(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._world is not None and not trainer.sanity_checking:
            with inference(trainer, pl_module):
                values = self.measure(self.points(pl_module, self.num_points))
                divergence = forward_kl(pl_module, self._world, self.num_points, self.seed)
            values |= {} if divergence is None else {"forward_kl": divergence}
            report(pl_module, {f"points/{name}": value for name, value in values.items()})

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_validation_epoch_end(trainer, pl_module)

    def points(self, pl_module: LightningModule, num: int) -> Tensor:
        """Draws points of the model as it is now, on the CPU, shape [num, D]; call it within `inference`."""
        assert isinstance(pl_module, SupportsSample)
        torch.manual_seed(self.seed)  # for networks with noise of their own
        image = pl_module.sample(num, generator=torch.Generator().manual_seed(self.seed))
        return image.flatten(1).float().cpu()

    def measure(self, points: Tensor) -> dict[str, float]:
        """Returns the numbers of points [N, D] that the world allows, without their prefix."""
        world, truth = self._world, self._truth
        assert world is not None
        values = {}
        if world.modes is not None:
            counts = mode_counts(points, world.modes, world.std)  # type: ignore[attr-defined]
            values["modes"] = float(modes_found(counts, len(points)))
            values["high_quality"] = high_quality_share(counts, len(points))
        if truth is not None:
            shares = cell_shares(points, world.bounds, self.cells)
            values |= {"kl": kl_divergence(shares, truth), "js": js_divergence(shares, truth)}
        if world.moments is not None:
            mean, covariance = world.moments
            values["mean_error"] = mean_error(points, mean)
            values["covariance_error"] = covariance_error(points, covariance)
        return values

    def _masses(self, data: ImageData, split: str) -> Tensor | None:
        """Returns the truth of a split, the masses of the grid's cells."""
        world = self._world
        assert world is not None
        if world.log_prob(cell_centres(world.bounds, 1)) is not None:
            return cell_masses(world.log_prob, world.bounds, self.cells)  # type: ignore[arg-type]
        if not data.num_images(split):
            return None
        real = torch.cat([batch["image"].flatten(1) for batch in data.batches(split, 4096)])
        return cell_shares(real, world.bounds, self.cells)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._world is None:
            return
        step = self._last_step = trainer.global_step
        with inference(trainer, pl_module):  # averaging takes all processes, drawing does not
            if not trainer.is_global_zero:
                return
            figure = self._figure(pl_module, step)
        write_png(figure, run_folder(trainer) / "samples" / f"step_{step:08d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("samples", figure.numpy(), global_step=step)

    def _figure(self, pl_module: LightningModule, step: int) -> Tensor:
        assert self._world is not None
        real = self._world.sample(self.num_drawn, torch.Generator().manual_seed(self.seed))
        generated = self.points(pl_module, self.num_drawn)
        density = density_of(pl_module, self._world, _FIELD_CELLS, self.seed)
        stages = stages_of(pl_module, self.num_drawn, self.seed) if len(self._world.bounds) == 2 else []
        return figure_of_points(self._world, real, generated, self._field(pl_module), f"step {step}", density, stages)

    def _field(self, pl_module: LightningModule) -> Field | None:
        """Returns the discriminator's verdict on a grid, None if the model has no discriminator."""
        assert self._world is not None
        if not isinstance(pl_module, SupportsDiscriminator):
            return None
        centres = cell_centres(self._world.bounds, _FIELD_CELLS)
        discriminator = cast(nn.Module, pl_module.discriminator)
        outputs = discriminator(centres.float()[:, :, None, None].to(pl_module.device), None)
        logits = outputs if outputs.ndim == 1 else outputs[:, 0]
        return Field(centres, logits.double().cpu().sigmoid(), _FIELD_CELLS)
