"""Data parallel training of models with several optimizers: each player's gradients cross the network once a step."""

__all__ = ["AdversarialDDPStrategy", "check_strategy"]

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.overrides.distributed import _sync_module_states, prepare_for_backward
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy, Strategy, StrategyRegistry
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lit_gen.errors import UserError
from lit_gen.functional.image_pool import ImagePool
from lit_gen.training.batch_norm import average_over_processes_, running_statistics
from lit_gen.training.supervision import supervise

_STATISTICS = "lit_gen_running_statistics"


class _Parameters(nn.Module):
    """Holds one optimizer's parameters, for `DistributedDataParallel` wants a module."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.parameters_of_one_optimizer = nn.ParameterList(parameters)


class AdversarialDDPStrategy(DDPStrategy):
    r"""Creates data parallel training with one reducer per optimizer.

    `DistributedDataParallel` around the whole module expects every parameter in every backward. Under alternating
    players that raises, or, told to look for unused parameters, sends zeros for the player at rest: twice the traffic.
    Here each optimizer's parameters have a reducer of their own, armed in a backward only while they require gradients,
    that is in their own player's phase.

    Each process keeps the running statistics of its own batches. Their means over the processes stand in checkpoints
    and, by the models, before validation, and remain when training ends. A checkpoint also holds every process's own,
    and its pools of generated images, so that a run resumed on as many processes is bit for bit the one that was never
    stopped.

    Arguments:
        kwargs: Arguments of `DDPStrategy`; those it does not know go to each `DistributedDataParallel`.
    """

    strategy_name = "ddp_adversarial"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reducers: list[DistributedDataParallel] = []
        self._restored: Tensor | None = None

    def _configure_launcher(self) -> None:
        super()._configure_launcher()
        supervise(self)

    def setup(self, trainer: Trainer) -> None:
        if self._layer_sync and self.root_device.type == "cpu":
            raise UserError("sync_batchnorm needs GPUs: torch has no synchronised batch norm for the CPU")
        super().setup(trainer)

    def configure_ddp(self) -> None:
        assert isinstance(self.model, nn.Module)
        _sync_module_states(self.model)
        self._restore_statistics()

    def setup_optimizers(self, trainer: Trainer) -> None:
        super().setup_optimizers(trainer)
        self.reducers = []
        for optimizer in self.optimizers:
            parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
            self.reducers.append(
                DistributedDataParallel(
                    _Parameters(parameters),
                    device_ids=self.determine_ddp_device_ids(),
                    init_sync=False,  # `configure_ddp` has made the processes equal
                    **self._ddp_kwargs,
                )
            )

    def pre_backward(self, closure_loss: Tensor) -> None:
        for reducer in self.reducers:
            if next(reducer.module.parameters()).requires_grad:
                prepare_for_backward(reducer, closure_loss)

    @contextlib.contextmanager
    def without_reduction(self) -> Iterator[None]:
        """Lets gradients add up on each process; for all parts of an accumulated batch but the last."""
        with contextlib.ExitStack() as stack:
            for reducer in self.reducers:
                stack.enter_context(reducer.no_sync())
            yield

    def lightning_module_state_dict(self) -> dict[str, Any]:
        state = super().lightning_module_state_dict()
        if self.reducers:
            means = {name: state[name].clone() for name in state if name.endswith(("running_mean", "running_var"))}
            average_over_processes_(means.values())
            state.update(means)
        return state

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        buffers = self._own_buffers()
        if self.reducers and buffers:
            own = torch.cat([tensor.flatten() for tensor in buffers])
            rows = [torch.empty_like(own) for _ in range(self.world_size)]
            torch.distributed.all_gather(rows, own)
            checkpoint[_STATISTICS] = torch.stack(rows).cpu()
        super().save_checkpoint(checkpoint, filepath, storage_options)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        super().load_model_state_dict(checkpoint, strict)
        self._restored = checkpoint.get(_STATISTICS)

    def on_train_end(self) -> None:
        self.average_running_statistics()

    def average_running_statistics(self) -> None:
        """Averages the running means and variances of all norms over the processes, in place.

        Each process normalises by, and keeps statistics of, its own batches; yet all of them must sample alike.
        """
        average_over_processes_(self._own_statistics())

    def _own_statistics(self) -> list[Tensor]:
        assert self.lightning_module is not None
        return running_statistics([self.lightning_module])

    def _own_buffers(self) -> list[Tensor]:
        """Lists what differs between processes and must outlive them: running statistics, pools of images."""
        assert self.lightning_module is not None
        pools = [part for part in self.lightning_module.modules() if isinstance(part, ImagePool)]
        return self._own_statistics() + [pool.images for pool in pools]

    def _restore_statistics(self) -> None:
        """Gives each process its own statistics and pools back, if the checkpoint is of as many processes."""
        restored, self._restored = self._restored, None
        if restored is not None and len(restored) == self.world_size:
            own = self._own_buffers()
            parts = restored[self.global_rank].split([tensor.numel() for tensor in own])
            for tensor, part in zip(own, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def teardown(self) -> None:
        self.reducers = []
        super().teardown()


def check_strategy(strategy: Strategy) -> None:
    """Refuses strategies under which alternating players fail, or are silently wrong.

    Raises:
        UserError: If the strategy wraps the whole module in one reducer, or shards parameters.
    """
    if isinstance(strategy, AdversarialDDPStrategy):
        return
    name = AdversarialDDPStrategy.strategy_name
    if isinstance(strategy, DDPStrategy):
        raise UserError(
            f"one reducer for all players fails when they alternate; use Trainer(strategy='{name}') or "
            f"--trainer.strategy {name}"
        )
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
        raise UserError(
            f"{type(strategy).__name__} shards parameters, under which alternating players cannot be frozen and "
            f"gradient penalties come out wrong; use --trainer.strategy {name}"
        )


StrategyRegistry.register(
    AdversarialDDPStrategy.strategy_name,
    AdversarialDDPStrategy,
    description="Data parallel with one reducer per optimizer, for alternating players",
)
