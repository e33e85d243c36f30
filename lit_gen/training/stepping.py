"""One training batch is one step, also under manual optimization with several optimizers."""

__all__ = ["count_batches_as_steps"]

from collections import OrderedDict
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loops.optimization.manual import _ManualOptimization


class _OneStepPerBatch(_ManualOptimization):
    """Counts the batch, not the optimizers' steps.

    Lightning adds one to `trainer.global_step` at every optimizer step: a GAN's count would run at twice the batches'
    (or jump, with several critic steps), and with it `max_steps` and the checkpoint intervals.
    """

    def on_run_start(self) -> None:
        """Leaves the optimizers uncounted, where Lightning hooks a counter into each."""

    def on_run_end(self) -> dict[str, Any]:
        self.optim_step_progress.increment_ready()
        self.optim_step_progress.increment_completed()
        output, self._output = self._output, OrderedDict()
        return output


def count_batches_as_steps(trainer: Trainer) -> None:
    """Makes `trainer.global_step` the number of training batches done; call from `setup("fit")`."""
    loop = trainer.fit_loop.epoch_loop
    if not isinstance(loop.manual_optimization, _OneStepPerBatch):
        loop.manual_optimization = _OneStepPerBatch(trainer)
