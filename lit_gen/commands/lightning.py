"""fit, validate, test and predict: what a parsed command line sets going, and what it says in the end."""

__all__ = ["run"]

import contextlib
import errno
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from lit_gen.callbacks import Preemption
from lit_gen.commands.classes import import_all
from lit_gen.commands.lightning_cli import Cli
from lit_gen.commands.request import Request
from lit_gen.errors import UserError, first_line
from lit_gen.training.interruption import EXIT_PREEMPTED, Preempted, SignalWatch

_FIRST_SPEAKS = 2.0
_UNFIT = (KeyError, IndexError, TypeError, ValueError, AttributeError)


def run(command: str, arguments: Sequence[str]) -> int:
    """Runs one of Lightning's four commands and returns its exit status.

    Raises:
        UserError: If the arguments, or what they name, are wrong, or a run finds that something of the user's is; a
            folder in which nothing was done yet is then taken away again.
    """
    try:
        if command != "fit":
            _run(command, arguments)
            return 0
        with SignalWatch() as watch, _full_disks_left_to_the_main_thread():
            _run(command, arguments, watch)
    except UserError:
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            # If the first process met it too, it says so, and its launcher ends this one before it says the same.
            time.sleep(_FIRST_SPEAKS)
        raise
    except Preempted as stop:
        rank_zero_only(print)(f"lit-gen: {stop}", file=sys.stderr)
        return EXIT_PREEMPTED
    return 0


def _run(command: str, arguments: Sequence[str], watch: SignalWatch | None = None) -> None:
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
    if watch:
        # A process that left alone would have the others wait for it.
        watch.deferred = cli.trainer.world_size > 1
        for callback in cli.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Preemption):
                callback.watch = watch
    try:
        {"fit": _fit, "predict": _predict}.get(command, _score)(cli, source)
    except BaseException as error:
        if cli.trainer.global_step <= (cli.checkpoint or {}).get("global_step", 0):
            cli.discard()  # no step was done
        elif cli.folder and isinstance(error, SystemExit) and (cli.folder.checkpoints / "last.ckpt").is_file():
            print(f"go on by: lit-gen fit --ckpt_path {cli.folder.path}")  # after an interruption
        if isinstance(error, MisconfigurationException) or _refused_by_lightning(error, cli.trainer):
            raise UserError(first_line(error)) from error
        if isinstance(error, _UNFIT) and not isinstance(error, UserError) and _restoring(cli.trainer):
            raise UserError(
                f"'{request.checkpoint}' does not fit this run, or is no whole checkpoint of lit_gen: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
        if isinstance(error, Preempted):
            _wait_for_all()
        raise


@contextlib.contextmanager
def _full_disks_left_to_the_main_thread() -> Iterator[None]:
    """Keeps TensorBoard's writing thread from printing what it raises again in the main thread."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not isinstance(arguments.exc_value, OSError) or arguments.exc_value.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
        ):
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _refused_by_lightning(error: BaseException, trainer: Trainer) -> bool:
    """Returns whether Lightning found a setting senseless before the first step; it raises plain ValueErrors too."""
    if not isinstance(error, ValueError) or trainer.global_step:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.startswith(("pytorch_lightning.", "lightning_fabric."))


def _restoring(trainer: Trainer) -> bool:
    """Returns whether the trainer holds a checkpoint, which it drops when all is restored."""
    return bool(trainer._checkpoint_connector._loaded_checkpoint)


def _wait_for_all() -> None:
    """Lets no process end before the others have closed their files: a launcher ends them when it sees one go."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


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
    limit = _limit_reached(cli)
    if limit:
        cli.discard()
        rank_zero_only(print)(f"nothing to do: '{cli.request.checkpoint}' is the end of its run ({limit})")
        return
    if cli.folder:
        cli.trainer.callbacks.append(_Announcement(cli.folder.path))  # type: ignore[attr-defined]
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, **source)
    if cli.folder and cli.trainer.is_global_zero:
        print(f"done: {cli.trainer.global_step} steps; samples, scores and checkpoints lie in {cli.folder.path}")


def _limit_reached(cli: Cli) -> str | None:
    """Says which limit a checkpoint has reached already, None if there is something left to do."""
    if cli.checkpoint is None:
        return None
    steps, epochs = cli.trainer.max_steps, cli.trainer.max_epochs
    if steps != -1 and cli.checkpoint["global_step"] >= steps:
        return f"step {cli.checkpoint['global_step']}; trainer.max_steps is {steps}"
    try:
        done = cli.checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    except (LookupError, TypeError) as error:
        raise UserError(f"'{cli.request.checkpoint}' has weights only; a run cannot go on from it") from error
    if epochs not in (None, -1) and done >= epochs:
        return f"{done} epochs; trainer.max_epochs is {epochs}"
    return None


def _predict(cli: Cli, source: Mapping[str, Any]) -> None:
    cli.trainer.predict(cli.model, datamodule=cli.datamodule, return_predictions=False, **source)
    if cli.trainer.is_global_zero:
        print(f"predictions: {cli.predictions}")


def _score(cli: Cli, source: Mapping[str, Any]) -> None:
    getattr(cli.trainer, cli.command)(cli.model, datamodule=cli.datamodule, verbose=False, **source)
    if not cli.trainer.is_global_zero:
        return
    results = cli.config_init["evaluation"].last_results
    scores = {name for result in results for name in result.named()}
    for name, value in cli.trainer.callback_metrics.items():
        if name not in scores:
            print(f"{name}  {float(value):.5g}")
    if results:
        print("\n\n".join(result.table() for result in results))
