"""Fully sharded training (FSDP2): each process keeps a part of every network, its gradients and optimizer state."""

__all__ = ["shard_networks_"]

from pytorch_lightning import LightningModule
from pytorch_lightning.strategies import ModelParallelStrategy
from torch.distributed.fsdp import FSDPModule, fully_shard

from lit_gen.errors import UserError


def shard_networks_(module: LightningModule) -> None:
    """Shards each of a model's networks over all processes, in place, if the trainer's strategy is for that.

    A network gathers its parameters when it is called, and lets go of them after, so that losses call whole networks
    (`self.encoder(x)`), not parts of them.

    References:
        | ZeRO: Memory Optimizations Toward Training Trillion Parameter Models (Rajbhandari et al., 2020), stage 3
        | https://arxiv.org/abs/1910.02054

    Raises:
        UserError: If the strategy's settings would leave gradients unreduced, or write checkpoints in parts.
    """
    if module._trainer is None or not isinstance(module.trainer.strategy, ModelParallelStrategy):
        return
    strategy, mesh = module.trainer.strategy, module.device_mesh
    assert mesh is not None
    if mesh["tensor_parallel"].size() > 1:
        raise UserError(
            "networks are sharded over the data, not within layers: give ModelParallelStrategy "
            f"data_parallel_size {strategy.world_size} and tensor_parallel_size 1"
        )
    if strategy._save_distributed_checkpoint:
        raise UserError("a checkpoint is one file: give ModelParallelStrategy save_distributed_checkpoint false")
    for network in module.children():
        if any(True for _ in network.parameters()) and not isinstance(network, FSDPModule):
            fully_shard(network, mesh=mesh["data_parallel"])
