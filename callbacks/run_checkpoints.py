"""The two checkpoints of every run: the last to go on from, the best to sample from."""

__all__ = ["RunCheckpoints", "training_ends"]

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loops.evaluation_loop import RestartStage

from lit_gen.errors import UserError
from lit_gen.training.loading import read_checkpoint

_VALIDATION_DUE = "validation_due"


class RunCheckpoints(Checkpoint):
    """Creates the callback that writes ``last.ckpt`` and ``best.ckpt``.

    One callback instead of two of Lightning's ModelCheckpoint, because their order matters: the best is written first,
    so that the last one knows of it, and a resumed run does not replace the best by something worse. Their names never
    change.

    The last is written at the end of a batch. If a validation is due then, a run that goes on from it begins with that
    validation, which Lightning would leave out. The checkpoint of the very last step is written when all is done.

    Arguments:
        every_n_train_steps: ``last.ckpt`` is written every so many steps, and when training ends.
        monitor: ``best.ckpt`` is written when this score was measured and is lower than ever; None takes the
            evaluation's FID, or the divergence of points from their world.
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
        self._saved_at = -1
        self._validation_due = False

    @property
    def state_key(self) -> str:
        return "RunCheckpoints"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder = trainer.strategy.broadcast(self.folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved_at = trainer.global_step
        if self._validation_due:
            validation = trainer.fit_loop.epoch_loop.val_loop
            validation._restart_stage = RestartStage.RESTARTED_MID_EVALUATION
            validation.restarting = False  # it starts from its first batch
            self._validation_due = False
        elif trainer.fit_loop.epoch_loop.restarted_on_train_batch_end and trainer.is_last_batch:
            # Lightning has counted the epoch as done, but takes the next for one that has begun.
            trainer.fit_loop.reset_restart_stage()
        # A score that was measured after last.ckpt of the same step had been written is known to best.ckpt only.
        best = None if self.folder is None else self.folder / "best.ckpt"
        if trainer.global_step and best is not None and best.is_file():
            checkpoint = read_checkpoint(best, rebuild=False)
            if checkpoint["global_step"] <= trainer.global_step:
                self.best = min(self.best, self._comparable(checkpoint["callbacks"].get(self.state_key, {})))
        self.best = trainer.strategy.broadcast(self.best)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        # The last step's validation and samples are still to come, and a run with all its steps is not gone on with.
        if trainer.global_step % self.every_n_train_steps == 0 and not training_ends(trainer):
            self.save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save_best(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save_best(trainer)
        if trainer.global_step > self._saved_at:
            self.save_last(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        in_batch = progress["total"]["completed"] < progress["total"]["processed"]
        if trainer.training and in_batch and _validation_follows(trainer):
            # To Lightning, the batch is over and its validation was interrupted.
            checkpoint[_VALIDATION_DUE] = True
            for count in (progress["total"], progress["current"]):
                count["completed"] += 1

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._validation_due = bool(checkpoint.get(_VALIDATION_DUE, False))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "monitor": self.monitor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = self._comparable(state_dict)

    def _comparable(self, state: Mapping[str, Any]) -> float:
        """Returns the best score of a state, infinity if it is one of another extractor's or metric's."""
        return float(state.get("best", math.inf)) if state.get("monitor") == self.monitor else math.inf

    def _save_best(self, trainer: Trainer) -> None:
        if self.monitor is None or not self.save_best or self.monitor not in trainer.callback_metrics:
            return
        score = float(trainer.callback_metrics[self.monitor])
        if score < self.best:  # never true of NaN
            self.best = score
            self._save(trainer, "best")

    def save_last(self, trainer: Trainer) -> str | None:
        """Writes ``last.ckpt`` now; returns its path, None if the run keeps none."""
        if self._saved_at != trainer.global_step:
            self._save(trainer, "last")
            self._saved_at = trainer.global_step
        return self.last_model_path or None

    def _save(self, trainer: Trainer, name: str) -> None:
        if self.folder is not None:
            path = self.folder / f"{name}.ckpt"
            trainer.save_checkpoint(path, weights_only=False)  # not of weights only: optimizers too
            setattr(self, f"{name}_model_path", str(path))


def training_ends(trainer: Trainer) -> bool:
    """Returns whether the batch that has just been done is the last of all."""
    steps, epochs = trainer.max_steps, trainer.max_epochs
    if steps != -1 and trainer.global_step >= steps:
        return True
    return epochs not in (None, -1) and trainer.is_last_batch and trainer.current_epoch + 1 >= epochs


def _validation_follows(trainer: Trainer) -> bool:
    """Returns whether Lightning validates before the next batch."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
