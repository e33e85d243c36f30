"""Alternating optimization of several players: the only place that touches optimizers."""

__all__ = ["AdversarialModule", "Phase", "Player"]

import abc
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_gen.contracts import Batch
from lit_gen.errors import UserError
from lit_gen.training.module import GenerativeModule
from lit_gen.training.options import TrainingOptions
from lit_gen.training.stepping import count_batches_as_steps
from lit_gen.training.strategy import AdversarialDDPStrategy, check_strategy


@dataclass(frozen=True)
class Player:
    """One side of the game.

    Arguments:
        networks: The names of the module's attributes that hold its networks.
        optimizer: Makes its optimizer from their parameters.
        schedule: Makes its learning-rate schedule from the optimizer; stepped once per training batch.
    """

    networks: Sequence[str]
    optimizer: OptimizerCallable
    schedule: LRSchedulerCallable | None = None


@dataclass(frozen=True)
class Phase:
    """One update within a training batch.

    Arguments:
        player: Whose parameters are updated; all others are frozen meanwhile.
        loss: Computes the scalar to minimise from the batch, a mean over its images.
        every: The phase runs in the first of each `every` batches.
        lazy: Whether the phase is one of regularization, beside its player's own: Adam then learns and remembers as
            much per batch as without it, and the loss is not logged as the player's.
        after: What is done when the parameters have been updated.
    """

    player: str
    loss: Callable[[Batch], Tensor]
    every: int = 1
    lazy: bool = False
    after: Callable[[], None] | None = None


class AdversarialModule(GenerativeModule, abc.ABC):
    r"""Trains players against each other, phase after phase within each batch.

    A model declares its `players` and its `phases`; everything about optimizers happens here, once: toggling,
    accumulation, backward, clipping, stepping, schedules, counting. One training batch is one step of
    `trainer.global_step`.

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014), Algorithm 1
        | https://arxiv.org/abs/1406.2661

    Arguments:
        options: Accumulation, clipping, compilation, memory format.
    """

    def __init__(self, options: TrainingOptions) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.options = options
        self.steps_skipped = 0
        self._compiled: dict[str, nn.Module] = {}

    @property
    @abc.abstractmethod
    def players(self) -> Mapping[str, Player]:
        """The players by name."""

    @property
    @abc.abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The phases in the order in which a batch runs through them."""

    def fast(self, network: str) -> nn.Module:
        """Returns a network as losses should call it: compiled, if the options say so.

        Not for what is differentiated twice, such as gradient penalties: compiled networks cannot be. One with spectral
        norm stays as it is.
        """
        plain: nn.Module = getattr(self, network)
        if not self.options.compile:
            return plain
        if network not in self._compiled:
            # Torch's compiler keeps for the backward pass, uncopied, what the next forward pass's power iteration
            # overwrites; and a discriminator has two passes before each backward one.
            fixed = any(isinstance(part, _SpectralNorm) for part in plain.modules())
            # Kept out of the module's own attributes, or its parameters would stand twice in the state dict.
            self._compiled[network] = plain if fixed else torch.compile(plain)  # type: ignore[assignment]
        return self._compiled[network]

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizers, schedules = [], []
        for name, player in self.players.items():
            parameters = [p for network in player.networks for p in getattr(self, network).parameters()]
            if not parameters:
                raise UserError(f"the networks of player '{name}' have no parameters to train")
            try:
                optimizers.append(player.optimizer(parameters))
                self._slow_down(optimizers[-1], name)
                if player.schedule is not None:
                    schedules.append(player.schedule(optimizers[-1]))
            except ValueError as error:
                raise UserError(f"the optimizer or schedule of player '{name}' cannot be made: {error}") from error
        return optimizers, schedules

    def _slow_down(self, optimizer: Optimizer, player: str) -> None:
        """Corrects for lazy phases, which are steps more: lr → c·lr, β → β^c (Karras et al., 2020, appendix B)."""
        phases = [phase for phase in self.phases if phase.player == player]
        usual = sum(1 / phase.every for phase in phases if not phase.lazy)
        c = usual / (usual + sum(1 / phase.every for phase in phases if phase.lazy)) if usual else 1.0
        for group in optimizer.param_groups if c < 1 else []:
            group["lr"] *= c
            if "betas" in group:
                group["betas"] = tuple(beta**c for beta in group["betas"])

    def setup(self, stage: str) -> None:
        if stage == "fit":
            # Penalties take float32, and so do images made outside of training steps; neither suits other weights.
            if self.trainer.precision not in ("32-true", "16-mixed", "bf16-mixed"):
                precision = self.trainer.precision
                raise UserError(f"trainer.precision is {precision}; it can be 32-true, bf16-mixed or 16-mixed")
            check_strategy(self.trainer.strategy)
            count_batches_as_steps(self.trainer)
            self.options.apply_to_process()
        self.apply_memory_format()

    def apply_memory_format(self) -> None:
        """Has weights lie in memory as the options say."""
        if self.options.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizers = dict(zip(self.players, _as_list(self.optimizers()), strict=True))
        for phase in self.phases:
            if self.step % phase.every == 0:
                self._update(phase, optimizers[phase.player], batch)
        for schedule in _as_list(self.lr_schedulers()):
            schedule.step()
        self.log_recorded()

    def _update(self, phase: Phase, optimizer: LightningOptimizer, batch: Batch) -> None:
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            parts = _split(batch, self.options.accumulate)
            total = sum(_size(part) for part in parts)
            for i, part in enumerate(parts):
                with contextlib.nullcontext() if i == len(parts) - 1 else self._without_reduction():
                    loss = phase.loss(part)
                    assert loss.ndim == 0, f"player '{phase.player}' has a loss of shape {tuple(loss.shape)}"
                    if phase.lazy:
                        # A penalty does not reach every parameter (last biases, say), but reducers wait for all.
                        parameters = [p for group in optimizer.param_groups for p in group["params"]]
                        loss = loss + sum(0.0 * p.sum() for p in parameters)
                    else:
                        self.record({f"loss/{phase.player}": loss})
                    # The parts' losses are means over their images; weighted by size they add up to the batch's.
                    share = _size(part) / total
                    self.manual_backward(loss * share if share != 1 else loss)
            self._step(optimizer, phase.player)
        if phase.after is not None:
            phase.after()

    def _step(self, optimizer: LightningOptimizer, player: str) -> None:
        scaler = self._scaler
        before = None if scaler is None or scaler._scale is None else scaler._scale.clone()
        optimizer.step()
        if scaler is not None and before is not None and scaler._scale is not None:
            # Compared on the device: asking the scaler for its scale would wait for the device in every step.
            self.record({f"skipped_steps/{player}": (scaler._scale < before).float()})

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.options.clip_norm is None:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.options.clip_norm)
        names = list(self.players)
        player = names[[o.optimizer for o in _as_list(self.optimizers())].index(optimizer)]
        self.record({f"gradient_norm/{player}": norm})

    def on_validation_start(self) -> None:
        if isinstance(self.trainer.strategy, AdversarialDDPStrategy):
            self.trainer.strategy.average_running_statistics()

    @property
    def _scaler(self) -> torch.amp.GradScaler | None:
        precision = self.trainer.precision_plugin
        return precision.scaler if isinstance(precision, MixedPrecision) else None

    def _without_reduction(self) -> contextlib.AbstractContextManager[None]:
        strategy = self.trainer.strategy
        if isinstance(strategy, AdversarialDDPStrategy):
            return strategy.without_reduction()
        return contextlib.nullcontext()


def _as_list(items: Any) -> list[Any]:
    """Undoes Lightning's unwrapping of lists of one or none."""
    return [] if items is None else list(items) if isinstance(items, list) else [items]


def _size(batch: Batch) -> int:
    return len(next(iter(batch.values())))


def _split(batch: Batch, parts: int) -> list[Batch]:
    """Splits a batch into parts of nearly equal size, none of them empty."""
    if parts == 1:
        return [batch]
    chunks = {key: value.tensor_split(min(parts, len(value))) for key, value in batch.items()}
    return [dict(zip(chunks, values, strict=True)) for values in zip(*chunks.values(), strict=True)]
