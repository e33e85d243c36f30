"""Being told to stop: finish the batch, write a checkpoint, leave."""

__all__ = ["Preempted", "Preemption"]

import signal
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lit_gen.callbacks.run_checkpoints import RunCheckpoints, training_ends
from lit_gen.errors import UserError
from lit_gen.training.interruption import Preempted, SignalWatch


class Preemption(Callback):
    """Creates a watch for SIGTERM, SIGUSR1 (SLURM's warning) and Ctrl-C.

    The batch at hand is finished on every process, `RunCheckpoints` writes ``last.ckpt``, and `Preempted` ends the
    training; a second Ctrl-C ends it at once. A signal during a validation takes effect after the next batch; before
    the first batch of a single process, at once; after the last one, not at all. Lightning's own way would save in the
    middle of a batch, where one player has stepped and the other has not.

    With several processes the signal may reach them in different batches, or only one of them. They agree by a message
    between their CPUs every few steps, so no device is waited for.

    Arguments:
        agree_every_n_steps: The steps between two such messages; in a single process every step looks at the signal.
    """

    def __init__(self, agree_every_n_steps: int = 10) -> None:
        if agree_every_n_steps < 1:
            raise UserError(f"preemption.agree_every_n_steps is {agree_every_n_steps}, and must be at least 1")
        self.agree_every_n_steps = agree_every_n_steps
        self.watch: SignalWatch | None = None
        """A watch that was begun before the trainer's work; by default one from its setup on."""
        self._own: SignalWatch | None = None
        self._group: Any = None
        self._waited = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        _silence(trainer)
        # Whatever others do at the end of a batch is done before this one ends the training.
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [*others, self]  # type: ignore[attr-defined]
        alone = trainer.world_size == 1
        self._group = None if alone else torch.distributed.new_group(backend="gloo")
        if self.watch is None:
            # A process that left alone would have the others wait for it.
            self.watch = self._own = SignalWatch(deferred=not alone).__enter__()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self.watch is not None
        self.watch.deferred = True
        self._waited = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._waited = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        number = self._agreed(trainer)
        if number and not training_ends(trainer):
            saved = [callback.save_last(trainer) for callback in _run_checkpoints(trainer)]
            raise Preempted(signal.Signals(number).name, next(filter(None, saved), None))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._own is not None:
            self._own.__exit__(None, None, None)
            self.watch = self._own = None
        self._group = None

    def _agreed(self, trainer: Trainer) -> int:
        assert self.watch is not None
        if self._group is None:
            return self.watch.received
        # A validation may have taken minutes, in which no process has asked the others.
        if trainer.global_step % self.agree_every_n_steps and not self._waited:
            return 0
        self._waited = False
        received = torch.tensor(self.watch.received)
        torch.distributed.all_reduce(received, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(received)


def _silence(trainer: Trainer) -> None:
    """Keeps Lightning from handling signals itself.

    It would end a run in the middle of a batch or a validation, requeue a SLURM job from inside the handler, and ask
    the device of rank 0 in every step whether there was a SIGTERM.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def _run_checkpoints(trainer: Trainer) -> list[RunCheckpoints]:
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, RunCheckpoints)]
