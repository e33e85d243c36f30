"""Keeps Lightning's advertisements, and its advice that does not apply here, off the screen; nothing else."""

__all__ = ["quieten"]

import logging
import warnings
from typing import Any

_MESSAGES = (
    "💡 Tip:",
    "GPU available:",
    "TPU available:",
    "HPU available:",
    "Seed set to",
    "LOCAL_RANK:",
    "Restoring states from the checkpoint",
    "Restored all states",
    "Loaded model weights",
    "\nDetected KeyboardInterrupt",
    "`Trainer.fit` stopped: `max_",
    "Loading `train_dataloader` to estimate",
)
_WARNINGS = (
    r".*does not have many workers.*",  # our loaders slice tensors in memory
    r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run's
    r".*The number of training batches \(\d+\) is smaller than the logging interval.*",  # rows count steps, not epochs
    r".*You're resuming from a checkpoint that ended before the epoch ended.*",  # our loaders resume within an epoch
    r".*It is recommended to use `self.log\(.*sync_dist=True.*",  # what our models report is reduced already
    r".*Couldn't infer the batch indices fetched.*",  # our batches carry them
    r".*Please add the following callbacks: \['RunCheckpoints'\].*",  # only fit writes checkpoints
    r".*`_get_pytree_leaves` is deprecated.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*LightningCLI's args parameter is intended to run from within Python.*",
    r".*Trying to infer the `batch_size` from an ambiguous collection.*",
)


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_MESSAGES)


class _Printer(logging.Handler):
    """Shows what the package itself has to say, such as that it trains a classifier."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), flush=True)


_FILTER = _Filter()
_PRINTER = _Printer()


_format = warnings.formatwarning


def _one_line(message: Any, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    """Shows what is meant for the user without the place in our code that says it."""
    return f"lit-gen: {message}\n" if category is UserWarning else _format(message, category, filename, lineno, line)


def quieten() -> None:
    """Installs the filters, once."""
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "lightning_fabric.utilities.rank_zero",
        "lightning_fabric.utilities.seed",
    ):
        logging.getLogger(name).addFilter(_FILTER)  # adding it again changes nothing
    ours = logging.getLogger("lit_gen")
    ours.addHandler(_PRINTER)
    ours.setLevel(logging.INFO)
    if warnings.formatwarning is not _one_line:
        global _format
        _format, warnings.formatwarning = warnings.formatwarning, _one_line
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
