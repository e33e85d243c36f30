"""A trainer that only trains: on one CPU process, without files and without a word."""

__all__ = ["quiet_trainer"]

from pathlib import Path
from typing import Any

import pytorch_lightning as pl


def quiet_trainer(folder: Path, steps: int, **settings: Any) -> pl.Trainer:
    """Creates the trainer for so many steps; settings are Lightning's, and go before these."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    where = {"accelerator": "cpu", "devices": 1, "enable_checkpointing": False, "default_root_dir": folder}
    return pl.Trainer(**({"max_steps": steps, "num_sanity_val_steps": 0} | quiet | where | settings))
