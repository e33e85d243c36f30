"""The base of every model: seeded batches, scalars gathered on the device, arguments that a checkpoint can hold."""

__all__ = ["GenerativeModule"]

import copy
import inspect
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.contracts import Batch
from lit_gen.errors import UserError
from lit_gen.training.recording import recorded_arguments
from lit_gen.training.seeding import derive_seed, isolated
from lit_gen.training.sharding import shard_networks_

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
        self._held_out: dict[str, Tensor] = {}
        self._trained = False
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
        with warnings.catch_warnings():
            # Values with a memory are modules. Lightning advises against pickling such, and here nothing is pickled.
            warnings.filterwarnings("ignore", ".*is an instance of `nn.Module`")
            self.save_hyperparameters(frame=constructor, logger=False)
        cls = type(self)
        if "_class_path" in self.hparams:  # built by the command line, which has plain data already
            # It offers every model what the data decide, also those that do not ask.
            accepted = inspect.signature(cls.__init__).parameters.values()
            names = {parameter.name for parameter in accepted}
            if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in accepted):
                unasked = [name for name in self.hparams if not name.startswith("_") and name not in names]
                self.record_instead(unasked, {})
            return
        plain = {
            "_class_path": f"{cls.__module__}.{cls.__qualname__}",
            "_instantiator": "pytorch_lightning.cli.instantiate_module",
            **recorded_arguments(cls.__init__, given),
        }
        self.record_instead(list(self.hparams), plain)

    def record_instead(self, unwanted: Iterable[str], wanted: Mapping[str, Any]) -> None:
        """Has checkpoints hold other arguments than those that the model was built with, but from which it can be, too.

        Arguments:
            unwanted: The names of those that they are not to hold; such as are not there do not matter.
            wanted: Further ones by name, as plain data.
        """
        for name in unwanted:
            self.hparams.pop(name, None)
        self.hparams.update(wanted)
        # Lightning keeps a copy for the loggers, and writes that to checkpoints.
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
        if interval > 0 and step % interval == 0:
            self._log_means(step)

    def on_train_end(self) -> None:
        # The steps since the last logging step, of which a short run has no other.
        if self._trained:
            self._log_means(self.step, live=False)

    def _log_means(self, step: int, live: bool = True) -> None:
        if not self._sums:
            return
        names = sorted(self._sums)
        means = torch.stack([self._sums[name] / self._counts[name] for name in names])
        means = self.trainer.strategy.reduce(means, reduce_op="mean")
        self.report({**dict(zip(names, means.tolist(), strict=True)), "images_seen": self.images_seen}, step, live)
        self._sums.clear()
        self._counts.clear()

    def record_held_out(self, values: Mapping[str, Tensor], num: int) -> None:
        """Adds scalars of one validation or test batch to the means over images that `report` gets when the loop ends.

        Arguments:
            values: Means over the batch, by name.
            num: The number of images in the batch.
        """
        for name, value in values.items():
            weighted = torch.stack([value.detach().double() * num, value.new_tensor(num, dtype=torch.float64)])
            self._held_out[name] = self._held_out.get(name, 0) + weighted

    def held_out(self, batch: Batch) -> Mapping[str, Tensor]:
        """Returns what is to be known of a held-out batch, means over its images, by name; most models have something.

        Without a validation step there would be no validation at all, hence the empty answer.
        """
        return {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Records `held_out`, with the same noise in every validation."""
        with isolated():
            torch.manual_seed(derive_seed(self.run_seed, "held out", self.global_rank, batch_idx))
            self.record_held_out(self.held_out(batch), len(next(iter(batch.values()))))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Records the same on the test split."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self._report_held_out()

    def on_test_epoch_end(self) -> None:
        self._report_held_out()

    def _report_held_out(self) -> None:
        sums, self._held_out = dict(self._held_out), {}
        if sums and not self.trainer.sanity_checking:
            total = self.trainer.strategy.reduce(torch.stack(list(sums.values())), reduce_op="sum")
            self.report(dict(zip(sums, (total[:, 0] / total[:, 1]).tolist(), strict=True)))

    def report(self, values: Mapping[str, float], step: int | None = None, live: bool = True) -> None:
        """Writes scalars to the loggers at once, and to the progress bar and the checkpoints' monitors.

        Lightning would write them after the step's checkpoint: a run killed in between would lose the row.

        Arguments:
            values: Scalars by name.
            step: Where they stand on the x-axis; `trainer.global_step` by default.
            live: Whether the bar and the monitors get them too; Lightning refuses that once training has ended.
        """
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=self.step if step is None else step)
        if not live:
            return
        shown = {name: value for name, value in values.items() if name != "images_seen"}
        # The loggers above have them at the right step already; here only the bar and callback_metrics get them.
        self.log_dict(shown, prog_bar=True, logger=False, batch_size=1)

    def configure_model(self) -> None:
        """Shards the networks, under a strategy for that; see `lit_gen.training.sharding`."""
        shard_networks_(self)

    def on_train_start(self) -> None:
        self._trained = False

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self._trained = True
        torch.manual_seed(derive_seed(self.run_seed, self.global_rank, self.step))
        # Counted here rather than at the batch's end, where callbacks save checkpoints before this module's hook runs.
        self.images_seen += len(next(iter(batch.values()))) * self.trainer.world_size

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STATE] = {
            "run_seed": self.run_seed,
            "images_seen": self.images_seen,
            "sums": self._sums_of_all(),
            "counts": dict(self._counts),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint.get(_STATE, {})
        self.run_seed = state.get("run_seed", self.run_seed)
        self.images_seen = state.get("images_seen", 0)
        self._sums = {name: self._own_sum(value).to(self.device) for name, value in state.get("sums", {}).items()}
        self._counts = dict(state.get("counts", {}))

    def _sums_of_all(self) -> dict[str, Tensor]:
        """Returns the sums of every process, [number of processes] each: the first process alone writes the file."""
        if not self._sums:
            return {}
        names = sorted(self._sums)
        own = torch.stack([self._sums[name] for name in names])
        gathered = self.trainer.strategy.all_gather(own).reshape(-1, len(names))
        return dict(zip(names, gathered.clone().unbind(1), strict=True))

    def _own_sum(self, sums: Tensor) -> Tensor:
        """Returns this process's sum, or the mean of all where there were more or fewer."""
        sums = sums.reshape(-1)
        processes = self.trainer.world_size if self._trainer is not None else 1
        return sums[self.global_rank].clone() if len(sums) == processes else sums.mean()
