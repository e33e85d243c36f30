"""fit, validate, test and predict: what a parsed command line sets going, and what it says in the end."""

__all__ = ["run"]

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from lit_gen.commands.classes import import_all
from lit_gen.commands.lightning_cli import Cli
from lit_gen.commands.request import Request
from lit_gen.errors import UserError, first_line


def run(command: str, arguments: Sequence[str]) -> int:
    """Runs one of Lightning's four commands.

    Raises:
        UserError: If the arguments, or what they name, are wrong, or a run finds that something of the user's is; a
            folder in which nothing was done yet is then taken away again.
    """
    import_all()
    request = Request.read(command, arguments)
    cli = Cli(command, request)
    source: dict[str, Any] = {}
    if request.checkpoint:
        source = {"ckpt_path": str(request.checkpoint), "weights_only": True}
    elif command != "fit":
        cli.notes.append("no --ckpt_path is given: the model is untrained")
    for note in cli.notes:
        rank_zero_only(print)(f"lit-gen: {note}", file=sys.stderr)
    try:
        {"fit": _fit, "predict": _predict}.get(command, _score)(cli, source)
    except BaseException as error:
        if cli.trainer.global_step == 0:
            cli.discard()
        elif cli.folder and isinstance(error, SystemExit) and (cli.folder.checkpoints / "last.ckpt").is_file():
            print(f"go on by: lit-gen fit --ckpt_path {cli.folder.path}")  # after an interruption
        if isinstance(error, MisconfigurationException):
            raise UserError(first_line(error)) from error
        raise
    return 0


class _Announcement(Callback):
    """Says where the run lies, once nothing stands in its way, and how large the model is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            at = f", from step {trainer.global_step}" if trainer.global_step else ""
            print(f"run folder: {self.folder}{at}")
            counts = {name: sum(p.numel() for p in part.parameters()) for name, part in pl_module.named_children()}
            print(", ".join(f"{name}: {count:,} parameters" for name, count in counts.items() if count), flush=True)


def _fit(cli: Cli, source: Mapping[str, Any]) -> None:
    if cli.folder:
        cli.trainer.callbacks.append(_Announcement(cli.folder.path))  # type: ignore[attr-defined]
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, **source)
    if cli.folder and cli.trainer.is_global_zero:
        print(f"done: {cli.trainer.global_step} steps; samples, scores and checkpoints lie in {cli.folder.path}")


def _predict(cli: Cli, source: Mapping[str, Any]) -> None:
    cli.trainer.predict(cli.model, datamodule=cli.datamodule, return_predictions=False, **source)
    if cli.trainer.is_global_zero:
        print(f"predictions: {cli.predictions}")


def _score(cli: Cli, source: Mapping[str, Any]) -> None:
    getattr(cli.trainer, cli.command)(cli.model, datamodule=cli.datamodule, verbose=False, **source)
    if not cli.trainer.is_global_zero:
        return
    result = cli.config_init["evaluation"].last_result
    scores = result.named() if result else {}
    for name, value in cli.trainer.callback_metrics.items():
        if name not in scores:
            print(f"{name}  {float(value):.5g}")
    if result:
        print(result.table())
