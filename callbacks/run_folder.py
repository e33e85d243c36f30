"""Where a run keeps its files."""

__all__ = ["run_folder"]

from pathlib import Path

from pytorch_lightning import Trainer


def run_folder(trainer: Trainer) -> Path:
    """Returns the first logger's folder, or the trainer's root folder if no logger has one; asks no other process."""
    logged = trainer.loggers[0].log_dir if trainer.loggers else None
    return Path(logged if isinstance(logged, str) else trainer.default_root_dir)
