"""Trainer settings that follow from how the processes were started, and from what they train."""

__all__ = ["choose_strategy", "launch_settings"]

import os
from collections.abc import Mapping
from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.plugins.io import CheckpointIO
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_warn

from lit_gen.callbacks import EMA, Diversity, Evaluation, SampleGrid
from lit_gen.datamodules.interrupted_epoch import InterruptedEpoch
from lit_gen.errors import UserError, first_line
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.checkpoint_io import AtomicCheckpointIO
from lit_gen.training.strategy import AdversarialDDPStrategy

_OF_WHOLE_NETWORKS = (EMA, Diversity, Evaluation, SampleGrid)


def launch_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Completes the trainer's arguments: nodes and devices as torchrun or SLURM started them, whole checkpoints.

    What the user has set stays.

    Raises:
        UserError: If SLURM was asked for processes in a way that does not say how many run on a node.
    """
    completed = dict(settings)
    nodes, per_node = _launched()
    if nodes and completed["num_nodes"] == 1:
        completed["num_nodes"] = nodes
    if per_node and completed["devices"] == "auto":
        completed["devices"] = per_node
    given = completed["plugins"]
    plugins = list(given) if isinstance(given, list | tuple) else [given] if given else []
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins.append(AtomicCheckpointIO())
    if _under_slurm() and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        plugins.append(_slurm())
    completed["plugins"] = plugins
    completed["callbacks"] = [*(completed["callbacks"] or []), InterruptedEpoch()]
    return completed


def choose_strategy(trainer: Trainer, model: LightningModule) -> str | None:
    """Returns the name of the strategy to take instead of the trainer's, None if that is right.

    Lightning chooses DDP for several processes, which fails for alternating players. Under a strategy that stays and
    shards networks, the trainer loses the callbacks that look at whole ones.
    """
    if type(trainer.strategy) is DDPStrategy and isinstance(model, AdversarialModule):
        return AdversarialDDPStrategy.strategy_name
    if isinstance(trainer.strategy, ModelParallelStrategy):
        unwanted = [callback for callback in trainer.callbacks if isinstance(callback, _OF_WHOLE_NETWORKS)]  # type: ignore[attr-defined]
        if unwanted:
            names = ", ".join(type(callback).__name__ for callback in unwanted)
            rank_zero_warn(f"networks are sharded over the processes; off are {names}", category=UserWarning)
        trainer.callbacks = [callback for callback in trainer.callbacks if callback not in unwanted]  # type: ignore[attr-defined]
    return None


def _slurm() -> SLURMEnvironment:
    try:
        # Lightning would save in the middle of a batch and requeue by itself; `Preemption` and the job's script do it.
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise UserError(first_line(error)) from error


def _under_slurm() -> bool:
    """Returns whether SLURM started this process, and torchrun did not do so within its job."""
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "SLURM_NTASKS" in os.environ and not interactive and "TORCHELASTIC_RUN_ID" not in os.environ


def _launched() -> tuple[int | None, int | None]:
    """Returns the number of nodes and of processes on each, as the launcher's environment tells."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        names = "GROUP_WORLD_SIZE", "LOCAL_WORLD_SIZE"
    elif _under_slurm():
        names = "SLURM_NNODES", "SLURM_NTASKS_PER_NODE"
    else:
        return None, None
    nodes, per_node = (os.environ.get(name, "") for name in names)
    return (int(nodes) if nodes.isdigit() else None), (int(per_node) if per_node.isdigit() else None)
