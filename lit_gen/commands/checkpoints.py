"""The two checkpoints of every run: the last to go on from, the best to sample from."""

__all__ = ["RunCheckpoints"]

import math
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from lit_gen.errors import UserError
from lit_gen.training.loading import read_checkpoint


class RunCheckpoints(Checkpoint):
    """Creates the callback that writes ``last.ckpt`` and ``best.ckpt``.

    One callback instead of two of Lightning's ModelCheckpoint, because their order matters: the best is written first,
    so that the last one knows of it, and a resumed run does not replace the best by something worse. Both are written
    at the end of a batch, whole or not at all, under names that never change.

    Arguments:
        every_n_train_steps: ``last.ckpt`` is written every so many steps, and when training ends.
        monitor: ``best.ckpt`` is written when this score was measured and is lower than ever; None takes the
            evaluation's FID.
        save_best: Whether to write ``best.ckpt`` at all.
    """

    def __init__(self, every_n_train_steps: int = 1000, monitor: str | None = None, save_best: bool = True) -> None:
        if every_n_train_steps < 1:
            raise UserError(f"checkpoint.every_n_train_steps is {every_n_train_steps}, and must be at least 1")
        self.every_n_train_steps = every_n_train_steps
        self.monitor = monitor
        self.save_best = save_best
        self.folder: Path | None = None
        self.best = math.inf
        self.last_model_path = self.best_model_path = ""
        self._saved_at = 0

    @property
    def state_key(self) -> str:
        return "RunCheckpoints"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder = trainer.strategy.broadcast(self.folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_at = trainer.global_step
        # A score that was measured after last.ckpt of the same step had been written is known to best.ckpt only.
        best = None if self.folder is None else self.folder / "best.ckpt"
        if trainer.global_step and best is not None and best.is_file():
            checkpoint = read_checkpoint(best, rebuild=False)
            if checkpoint["global_step"] <= trainer.global_step:
                self.best = min(self.best, checkpoint["callbacks"].get(self.state_key, {}).get("best", math.inf))
        self.best = trainer.strategy.broadcast(self.best)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._save_best(trainer)
        if trainer.global_step % self.every_n_train_steps == 0:
            self._save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save_best(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save_best(trainer)
        if trainer.global_step > self._saved_at:
            self._save_last(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _save_best(self, trainer: Trainer) -> None:
        if self.monitor is None or not self.save_best or self.monitor not in trainer.callback_metrics:
            return
        score = float(trainer.callback_metrics[self.monitor])
        if score < self.best:  # never true of NaN
            self.best = score
            self._save(trainer, "best")

    def _save_last(self, trainer: Trainer) -> None:
        self._saved_at = trainer.global_step
        self._save(trainer, "last")

    def _save(self, trainer: Trainer, name: str) -> None:
        if self.folder is not None:
            path = self.folder / f"{name}.ckpt"
            trainer.save_checkpoint(path, weights_only=False)  # not of weights only: optimizers too
            setattr(self, f"{name}_model_path", str(path))
