"""What callbacks log, and when."""

__all__ = ["SupportsReport", "at_logging_step", "report"]

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from pytorch_lightning import LightningModule, Trainer


@runtime_checkable
class SupportsReport(Protocol):
    """A model that writes scalars to its loggers at once; every model of lit_gen does."""

    def report(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Writes scalars to the loggers, the progress bar and the checkpoints' monitors."""


def report(pl_module: LightningModule, values: Mapping[str, float]) -> None:
    """Logs scalars at the present step, by the model's `report` if it has one, else by Lightning's logging."""
    if isinstance(pl_module, SupportsReport):
        pl_module.report(values)
    else:
        pl_module.log_dict(dict(values), batch_size=1)


def at_logging_step(trainer: Trainer) -> bool:
    """Returns whether losses were logged in the step that has just been done."""
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return interval > 0 and trainer.global_step % interval == 0
