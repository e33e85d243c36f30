"""What ``predict`` writes: one PNG for every image of the split."""

__all__ = ["PredictionFolder"]

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from lit_gen.commands.output import check_output, fill, numbered
from lit_gen.errors import UserError
from lit_gen.functional.png import write_png
from lit_gen.functional.quantize import to_uint8


class PredictionFolder(BasePredictionWriter):
    """Creates the callback that writes predictions, images in [−1, 1], as ``000000.png`` and so on.

    An image has the number of the image of the split that it was predicted from. The folder is filled when all are
    there.

    Arguments:
        folder: The folder.
        overwrite: Whether to replace the images in it.
    """

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        super().__init__(write_interval="batch")
        check_output(folder, folder=True, overwrite=overwrite)
        self.folder = folder
        place = folder.resolve()  # "." has no name
        self._temporary = place.with_name(f".{place.name}.tmp")  # one for all processes
        self._count = 0

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary.mkdir(parents=True)
        trainer.strategy.barrier()

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        if not isinstance(prediction, Tensor) or prediction.ndim != 4 or prediction.shape[1] not in (1, 3):
            shape = f"shape {tuple(prediction.shape)}" if isinstance(prediction, Tensor) else type(prediction).__name__
            raise UserError(
                f"predict writes images [B, 1 or 3, H, W] in [−1, 1]; {type(pl_module).__name__}'s predict_step "
                f"returns {shape}"
            )
        for i, image in enumerate(to_uint8(prediction)):
            index = int(batch["index"][i]) if "index" in batch else self._count
            write_png(image, self._temporary / numbered(index))
            self._count += 1

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            fill(self.folder, self._temporary)
            self._remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
