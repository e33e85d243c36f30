"""The same noise drawn, or the same images translated or given back, again and again, to watch a model learn."""

__all__ = ["SampleGrid"]

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from lit_gen.callbacks.reconstruction_grid import reconstruction_grid
from lit_gen.callbacks.run_folder import run_folder
from lit_gen.callbacks.sampling import draw_rows, inference
from lit_gen.callbacks.translation_grid import translation_grid
from lit_gen.contracts import PointData, SupportsReconstruct, SupportsSample, SupportsTranslate
from lit_gen.errors import UserError
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.png import write_png
from lit_gen.training.seeding import derive_seed

_SECONDS = 1.0  # between a file and the same file further filled


class SampleGrid(Callback):
    """Creates grids of samples from fixed noise, as ``samples/step_00001000.png`` in the run's folder.

    Samples come from averaged weights, if the trainer has an `EMA`, in evaluation mode; image i of a seed is the same
    whatever the batch size. TensorBoard gets the grids too, under ``samples``. A model with classes gets a column per
    class, and as many full rows as `num_samples` fills. Of a model that draws pixel by pixel (`SupportsRows`) the file
    is there from the first second on, and fills row by row. A model that translates has grids of source | output |
    target of the same held-out images. One that gives images back, through a bottleneck say, has grids of image |
    reconstruction as well, as ``reconstructions/step_00001000.png``. A model that can do nothing of all that gets no
    grids; nor do points, which are no pictures.

    Arguments:
        every_n_steps: The steps between grids; beside these there is one of the last step. 0 leaves only that.
        num_samples: The number of images, or of images to translate or to give back.
        first: Whether the untrained model is drawn as well, as step 0.
        seed: The seed of the noise.
        batch_size: The images drawn at once.
    """

    def __init__(
        self,
        every_n_steps: int = 1000,
        num_samples: int = 64,
        first: bool = True,
        seed: int = 0,
        batch_size: int = 64,
    ) -> None:
        if every_n_steps < 0 or num_samples < 1 or batch_size < 1:
            raise UserError("SampleGrid's every_n_steps must be 0 or more, its num_samples and batch_size at least 1")
        self.every_n_steps, self.num_samples, self.first = every_n_steps, num_samples, first
        self.seed, self.batch_size = seed, batch_size
        self._last_step: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._last_step = None
        if self.first and trainer.global_step == 0:
            self._write(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._last_step != trainer.global_step:
            self._write(trainer, pl_module)

    def grid(self, trainer: Trainer, pl_module: LightningModule) -> Tensor:
        """Draws the grid of the model as it is now, uint8 [C, H, W]; C is 1 or 3."""
        *_, grid = (self._sampled if isinstance(pl_module, SupportsSample) else self._translated)(trainer, pl_module)
        return grid

    def _sampled(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Tensor]:
        """Yields the grid, filled further each time."""
        assert isinstance(pl_module, SupportsSample)
        num, columns, label = self._layout(getattr(pl_module, "num_classes", None))
        whole: Tensor | None = None
        with inference(trainer, pl_module):
            for part in torch.arange(num).split(self.batch_size):
                labels = None if label is None else label[part]
                for images in draw_rows(pl_module, self.seed, part.tolist(), labels):
                    whole = images.new_zeros(num, *images.shape[1:], device="cpu") if whole is None else whole
                    whole[part] = images.cpu()
                    yield image_grid(whole, columns)

    def _translated(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Tensor]:
        assert isinstance(pl_module, SupportsTranslate)
        data = trainer.datamodule  # type: ignore[attr-defined]
        with inference(trainer, pl_module):
            torch.manual_seed(derive_seed(self.seed, "grid"))  # networks draw noise of their own
            yield translation_grid(pl_module, data, self.num_samples, self.batch_size, pl_module.device)

    def _layout(self, num_classes: int | None) -> tuple[int, int, Tensor | None]:
        """Returns the number of images, the columns and the images' labels."""
        if num_classes is None:
            return self.num_samples, math.ceil(math.sqrt(self.num_samples)), None
        if num_classes > self.num_samples:  # too many for a column each: the first ones, one image of each
            return self.num_samples, math.ceil(math.sqrt(self.num_samples)), torch.arange(self.num_samples)
        num = self.num_samples // num_classes * num_classes
        return num, num_classes, torch.arange(num) % num_classes

    def _reconstructed(self, trainer: Trainer, pl_module: LightningModule) -> Iterator[Tensor]:
        assert isinstance(pl_module, SupportsReconstruct)
        data = trainer.datamodule  # type: ignore[attr-defined]
        with inference(trainer, pl_module):
            yield reconstruction_grid(pl_module, data, self.num_samples, self.seed, self.batch_size, pl_module.device)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        if trainer.fast_dev_run or isinstance(data, PointData):  # type: ignore[attr-defined]
            return
        grids: dict[str, Callable[[Trainer, LightningModule], Iterator[Tensor]]] = {}
        if isinstance(pl_module, SupportsSample):
            grids["samples"] = self._sampled
        elif isinstance(pl_module, SupportsTranslate) and data is not None:
            grids["samples"] = self._translated
        if isinstance(pl_module, SupportsReconstruct) and data is not None:
            grids["reconstructions"] = self._reconstructed
        step = trainer.global_step
        for name, draw_grid in grids.items():
            self._last_step = step
            if not trainer.is_global_zero:
                with inference(trainer, pl_module):  # averaging takes all processes, drawing does not
                    continue
            file, written = run_folder(trainer) / name / f"step_{step:08d}.png", time.monotonic()
            for grid in draw_grid(trainer, pl_module):
                if time.monotonic() - written >= _SECONDS:
                    write_png(grid, file)
                    written = time.monotonic()
            write_png(grid, file)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(name, grid.numpy(), global_step=step)
