"""Running statistics of batch norm for weights that were never trained as such, like averaged ones."""

__all__ = ["average_over_processes_", "batch_norms", "reestimate", "running_statistics"]

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from lit_gen.training.modes import evaluating


def batch_norms(networks: Iterable[nn.Module]) -> list[_BatchNorm]:
    """Lists the batch norms that keep running statistics."""
    layers = [layer for network in networks for layer in network.modules()]
    return [layer for layer in layers if isinstance(layer, _BatchNorm) and layer.running_mean is not None]


def running_statistics(networks: Iterable[nn.Module]) -> list[Tensor]:
    """Lists the running means and variances, also those of instance norms that keep some."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, _NormBase)]
    tensors = [tensor for layer in layers for tensor in (layer.running_mean, layer.running_var)]
    return [tensor for tensor in tensors if tensor is not None]


@torch.no_grad()
def reestimate(networks: Iterable[nn.Module], run: Callable[[int], object], num_batches: int) -> None:
    r"""Replaces running statistics by the plain mean of the statistics of fresh batches ("standing statistics").

    All other layers are in evaluation mode meanwhile, so that no dropout acts and no spectral norm iterates.

    References:
        | Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock et al., 2019), section 4
        | https://arxiv.org/abs/1809.11096

    Arguments:
        networks: The networks whose batch norms are re-estimated.
        run: Sends batch i through the networks; all batches are of one size, or they would not weigh the same.
        num_batches: The number of batches.
    """
    networks = list(networks)
    layers = batch_norms(networks)
    momenta = [layer.momentum for layer in layers]
    with evaluating(*networks):
        try:
            for layer in layers:
                layer.reset_running_stats()
                layer.momentum = None  # torch's name for the cumulative average
                layer.training = True
            for i in range(num_batches if layers else 0):
                run(i)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum


def average_over_processes_(tensors: Iterable[Tensor]) -> None:
    """Replaces tensors by their means over all processes, in place; every process must call it.

    Under data parallel training each process's batch norms see its own images only, and drift apart.
    """
    tensors = list(tensors)
    if not tensors or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))
