"""Sums over processes, so that what a value learns from its batches is the same on every one of them."""

__all__ = ["sum_over_processes_"]

import torch.distributed as dist
from torch import Tensor


def sum_over_processes_(tensor: Tensor) -> Tensor:
    """Replaces a tensor by its sum over all processes, in place, and returns it; every process must call it."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(tensor)
    return tensor
