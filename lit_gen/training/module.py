"""The base of every model: seeded batches, scalars gathered on the device, arguments that a checkpoint can hold."""

__all__ = ["GenerativeModule"]

import copy
import inspect
import os
from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.contracts import Batch
from lit_gen.errors import UserError
from lit_gen.training.recording import recorded_arguments
from lit_gen.training.seeding import derive_seed

_STATE = "lit_gen_training"


class GenerativeModule(LightningModule):
    """What all models share, whatever they optimize.

    * Every batch starts from a seed made of (run seed, rank, step): dropout, latents and augmentation of step n are the
      same in a resumed run, and with or without a validation before it. The run seed is the one given to
      `seed_everything` (0 without), and travels in the checkpoint.
    * `record` gathers scalars on the device; every `log_every_n_steps` steps their mean over those steps goes to the
      loggers and the progress bar, at the step count that `trainer.global_step` then has.
    * `averaged_networks` names the networks that samples come from: what an EMA averages.
    """

    averaged_networks: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.run_seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        self.images_seen = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._held_out: dict[str, list[Tensor]] = {}
        self._record_arguments()

    def _record_arguments(self) -> None:
        # The concrete constructor's frame is the outermost one whose `self` is this object.
        frame, constructor = inspect.currentframe(), None
        while frame is not None:
            if frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is self:
                constructor = frame
            frame = frame.f_back
        assert constructor is not None
        given = {name: value for name, value in constructor.f_locals.items() if name != "self"}
        self.save_hyperparameters(frame=constructor, logger=False)
        if "_class_path" in self.hparams:  # built by the command line, which has plain data already
            return
        cls = type(self)
        plain = {
            "_class_path": f"{cls.__module__}.{cls.__qualname__}",
            "_instantiator": "pytorch_lightning.cli.instantiate_module",
            **recorded_arguments(cls.__init__, given),
        }
        self.hparams.clear()
        self.hparams.update(plain)
        self._hparams_initial = copy.copy(self.hparams)

    @property
    def step(self) -> int:
        """The number of training batches done before this one."""
        return self.trainer.global_step

    def require(self, batch: Batch, *keys: str) -> list[Tensor]:
        """Takes tensors out of a batch.

        Raises:
            UserError: If the batch lacks a key; names it and what the batch has.
        """
        for key in keys:
            if key not in batch:
                raise UserError(
                    f"{type(self).__name__} needs '{key}' in its batches; "
                    f"{type(self.trainer.datamodule).__name__} has {', '.join(sorted(batch))}"  # type: ignore[attr-defined]
                )
        return [batch[key] for key in keys]

    def record(self, values: Mapping[str, Tensor]) -> None:
        """Adds scalars of this step to the means that are logged next; neither logs nor synchronises."""
        for name, value in values.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def log_recorded(self) -> None:
        """Logs the means of what was recorded, if this step is a logging step; ends every training step."""
        step = self.step + 1
        interval: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not self._sums or interval <= 0 or step % interval:
            return
        names = sorted(self._sums)
        means = torch.stack([self._sums[name] / self._counts[name] for name in names])
        means = self.trainer.strategy.reduce(means, reduce_op="mean")
        self.report({**dict(zip(names, means.tolist(), strict=True)), "images_seen": self.images_seen}, step)
        self._sums.clear()
        self._counts.clear()

    def record_held_out(self, values: Mapping[str, Tensor]) -> None:
        """Adds scalars of one validation or test batch to the means that `report` gets when the loop ends."""
        for name, value in values.items():
            self._held_out.setdefault(name, []).append(value.detach().float())

    def on_validation_epoch_end(self) -> None:
        self._report_held_out()

    def on_test_epoch_end(self) -> None:
        self._report_held_out()

    def _report_held_out(self) -> None:
        means = {name: torch.stack(values).mean() for name, values in self._held_out.items()}
        self._held_out.clear()
        if means and not self.trainer.sanity_checking:
            reduced = self.trainer.strategy.reduce(torch.stack(list(means.values())), reduce_op="mean")
            self.report(dict(zip(means, reduced.tolist(), strict=True)))

    def report(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Writes scalars to the loggers at once, and to the progress bar and the checkpoints' monitors.

        Lightning would write them after the step's checkpoint: a run killed in between would lose the row.

        Arguments:
            values: Scalars by name.
            step: Where they stand on the x-axis; `trainer.global_step` by default.
        """
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=self.step if step is None else step)
        shown = {name: value for name, value in values.items() if name != "images_seen"}
        # The loggers above have them at the right step already; here only the bar and callback_metrics get them.
        self.log_dict(shown, prog_bar=True, logger=False, batch_size=1)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        torch.manual_seed(derive_seed(self.run_seed, self.global_rank, self.step))
        # Counted here rather than at the batch's end, where callbacks save checkpoints before this module's hook runs.
        self.images_seen += len(next(iter(batch.values()))) * self.trainer.world_size

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STATE] = {
            "run_seed": self.run_seed,
            "images_seen": self.images_seen,
            "sums": dict(self._sums),
            "counts": dict(self._counts),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(_STATE, {})
        self.run_seed = state.get("run_seed", self.run_seed)
        self.images_seen = state.get("images_seen", 0)
        self._sums = {name: value.to(self.device) for name, value in state.get("sums", {}).items()}
        self._counts = dict(state.get("counts", {}))
