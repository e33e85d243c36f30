"""What is shown while a run goes on: a bar in a terminal, a line now and then in a log file."""

__all__ = ["ProgressBar"]

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from rich.console import Console
from rich.progress import BarColumn

from lit_gen.callbacks.reporting import at_logging_step
from lit_gen.errors import UserError

_PLAIN_SECONDS = 10.0


class ProgressBar(RichProgressBar):
    """Creates a progress bar over the whole run, with the last FID, the losses and the speed.

    Where the output is not a terminal it prints plain lines instead, at logging steps but at most every ten seconds,
    and one for every new score.

    Arguments:
        every_n_steps: The steps between updates, at least 20: more often they would cost as much as small networks.
    """

    def __init__(self, every_n_steps: int = 20) -> None:
        if every_n_steps < 20:
            raise UserError(f"ProgressBar's every_n_steps is {every_n_steps}, and must be at least 20")
        super().__init__(refresh_rate=4)
        self.every_n_steps = every_n_steps
        self._plain = False
        self._printed_at, self._printed_step = 0.0, -1
        self._printed_scores: dict[str, str] = {}

    @property
    def total_train_batches(self) -> int | float:
        """The steps of the whole run, not of an epoch: small data have epochs of a second."""
        trainer = self.trainer
        if trainer.max_steps > 0:
            return trainer.max_steps
        return (
            trainer.num_training_batches * (trainer.max_epochs or 1) if (trainer.max_epochs or 1) > 0 else float("inf")
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        console = Console()
        self._plain = not (console.is_terminal or console.is_jupyter)
        if self._plain:
            self.disable()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.is_enabled and self.train_progress_bar_id is None:
            super().on_train_epoch_start(trainer, pl_module)
            if (
                self.progress is not None and self.train_progress_bar_id is not None
            ):  # a resumed run starts in the middle
                self.progress.reset(self.train_progress_bar_id, completed=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self._plain:
            if at_logging_step(trainer) and time.monotonic() - self._printed_at >= _PLAIN_SECONDS:
                self._print(trainer, pl_module)
        elif step % self.every_n_steps == 0 or step == self.total_train_batches:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, step - 1)  # shows one more than it is given

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if self._plain and trainer.state.fn == "fit" and not trainer.sanity_checking:
            scores = {name: text for name, text in self.get_metrics(trainer, pl_module).items() if "[" in name}
            if scores != self._printed_scores:
                self._printed_scores = scores
                self._print(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if self._plain and self._printed_step != trainer.global_step:
            self._print(trainer, pl_module)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, str]:  # type: ignore[override]
        """Returns what is shown: FID, losses by their players' names, and in plain lines images per second."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown = {name: f"{value:.2f}" for name, value in logged.items() if name.startswith("fid[")}
        shown |= {
            name.removeprefix("loss/"): f"{value:.3f}" for name, value in logged.items() if name.startswith("loss/")
        }
        if "speed/images_per_second" in logged and self._plain:  # the bar has steps per second
            shown["images/s"] = f"{logged['speed/images_per_second']:,.0f}"
        return shown

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = 20  # leaves room for the scores
        return columns

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"

    def _print(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._printed_at, self._printed_step = time.monotonic(), trainer.global_step
        if trainer.is_global_zero:
            of = f"/{trainer.max_steps:,}" if trainer.max_steps > 0 else ""
            shown = [f"{name} {text}" for name, text in self.get_metrics(trainer, pl_module).items()]
            print("  ".join([f"step {trainer.global_step:,}{of}", *shown]), flush=True)
