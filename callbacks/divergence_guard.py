"""Stops a run that has become NaN or infinite, while its last checkpoint is still good."""

__all__ = ["DivergenceGuard"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lit_gen.callbacks.reporting import at_logging_step
from lit_gen.errors import UserError


class DivergenceGuard(Callback):
    """Creates a guard that ends training with one clear line when losses or weights are NaN or infinite.

    It looks at every logging step, when the device is waited for anyway, and before every checkpoint, which is then
    not written: what lies on the disk is from before. A look costs one norm per tensor and one number per group of
    them read from the device.

    Raises:
        UserError: When it finds something, from within `trainer.fit`; it names what, the step and the last checkpoint.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not at_logging_step(trainer):
            return
        # Logged losses are means over all processes and weights are equal on all: every process finds the same.
        losses = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("loss")}
        found = _find(losses, _not_finite) or _find(_weights(pl_module), _not_finite)
        if found:
            self._stop(trainer, found)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # Buffers may be infinite on purpose (attention masks), never NaN.
        found = (
            _find(_weights(pl_module), _not_finite)
            or _find({f"buffer {name}": buffer for name, buffer in pl_module.named_buffers()}, torch.isnan)
            or _find(_moments(trainer), _not_finite)
        )
        # Buffers can differ between processes, and all must go the same way, or one waits for the others for ever.
        if not trainer.strategy.reduce_boolean_decision(found is None, all=True):
            self._stop(trainer, found or "another process found values that are not finite")

    def _stop(self, trainer: Trainer, found: str) -> None:
        step = trainer.global_step
        path = _last_checkpoint(trainer)
        resume = f"go on from {path}" if path else "start again"
        raise UserError(
            f"training diverged: at step {step} {found}; none of this was saved: {resume} with a smaller learning "
            "rate, a stronger gradient penalty, or trainer.precision 32-true if it was lower"
        )


def _not_finite(values: Tensor) -> Tensor:
    return ~values.isfinite()


def _find(tensors: Mapping[str, Tensor], is_bad: Callable[[Tensor], Tensor]) -> str | None:
    """Describes the first tensor with a bad value, None if there is none; all on one device, which is read once."""
    named = {name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    if not named:
        return None
    # The largest magnitude is infinite or NaN exactly if a value is, and does not overflow as a sum of squares would.
    norms = torch.stack([norm.float() for norm in torch._foreach_norm(list(named.values()), float("inf"))])
    bad = is_bad(norms)
    if not bool(bad.any()):
        return None
    first = int(bad.nonzero()[0])
    kind = "NaN" if bool(norms[first].isnan()) else "infinite"
    return f"{list(named)[first]} is {kind}"


def _weights(pl_module: LightningModule) -> dict[str, Tensor]:
    return {f"weight {name}": parameter for name, parameter in pl_module.named_parameters()}


def _moments(trainer: Trainer) -> dict[str, Tensor]:
    """Returns the optimizers' tensors that lie with the weights (step counters may lie elsewhere)."""
    return {
        f"{name} of optimizer {i}, tensor {j}": value
        for i, optimizer in enumerate(trainer.optimizers)
        for j, (parameter, state) in enumerate(optimizer.state.items())
        for name, value in state.items()
        if isinstance(value, Tensor) and value.device == parameter.device and value.ndim
    }


def _last_checkpoint(trainer: Trainer) -> str | None:
    """Returns the newest checkpoint file of this run."""
    names = [
        getattr(callback, attribute, "")
        for callback in trainer.checkpoint_callbacks
        for attribute in ("last_model_path", "best_model_path")
    ]
    files = [Path(name) for name in names if name and Path(name).is_file()]
    return str(max(files, key=lambda file: file.stat().st_mtime)) if files else None
