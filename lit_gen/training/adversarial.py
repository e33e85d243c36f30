"""Alternating optimization of several players: the only place that touches optimizers."""

__all__ = ["AdversarialModule", "Phase", "Player"]

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_gen.contracts import Batch
from lit_gen.errors import UserError
from lit_gen.training.module import GenerativeModule
from lit_gen.training.stepping import count_batches_as_steps


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
        loss: Computes the scalar to minimise from the batch.
        every: The phase runs in the first of each `every` batches.
    """

    player: str
    loss: Callable[[Batch], Tensor]
    every: int = 1


class AdversarialModule(GenerativeModule, abc.ABC):
    r"""Trains players against each other, phase after phase within each batch.

    A model declares its `players` and its `phases`; everything about optimizers happens here, once: toggling, backward,
    stepping, schedules, counting. One training batch is one step of `trainer.global_step`.

    References:
        | Generative Adversarial Networks (Goodfellow et al., 2014), Algorithm 1
        | https://arxiv.org/abs/1406.2661
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    @property
    @abc.abstractmethod
    def players(self) -> Mapping[str, Player]:
        """The players by name."""

    @property
    @abc.abstractmethod
    def phases(self) -> Sequence[Phase]:
        """The phases in the order in which a batch runs through them."""

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        optimizers, schedules = [], []
        for name, player in self.players.items():
            parameters = [p for network in player.networks for p in getattr(self, network).parameters()]
            if not parameters:
                raise UserError(f"the networks of player '{name}' have no parameters to train")
            optimizers.append(player.optimizer(parameters))
            if player.schedule is not None:
                schedules.append(player.schedule(optimizers[-1]))
        return optimizers, schedules

    def setup(self, stage: str) -> None:
        if stage == "fit":
            count_batches_as_steps(self.trainer)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        optimizers = dict(zip(self.players, self._as_list(self.optimizers()), strict=True))
        for phase in self.phases:
            if self.step % phase.every == 0:
                self._update(phase, optimizers[phase.player], batch)
        for schedule in self._as_list(self.lr_schedulers()):
            schedule.step()
        self.log_recorded()

    def _update(self, phase: Phase, optimizer: LightningOptimizer, batch: Batch) -> None:
        with self.toggled_optimizer(optimizer):
            loss = phase.loss(batch)
            assert loss.ndim == 0, f"the loss of player '{phase.player}' has shape {tuple(loss.shape)}, not a scalar"
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.record({f"loss/{phase.player}": loss})

    @staticmethod
    def _as_list(items: object) -> list:  # type: ignore[type-arg]
        """Undoes Lightning's unwrapping of lists of one or none."""
        return [] if items is None else list(items) if isinstance(items, list) else [items]
