"""Sums and means over the processes of a data parallel run, which are what one process would have computed."""

__all__ = ["mean_across_processes", "sum_across_processes"]

import torch.distributed as dist
from torch import Tensor


def sum_across_processes(x: Tensor) -> Tensor:
    """Returns the sum of a tensor over all processes, the tensor itself where there is but one; without gradient.

    Every process must call it, with the same shape.
    """
    x = x.detach()
    if not (dist.is_available() and dist.is_initialized()):
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total


def mean_across_processes(x: Tensor) -> Tensor:
    """Returns the mean of a tensor over all processes, as `sum_across_processes` does the sum."""
    total = sum_across_processes(x)
    return total / dist.get_world_size() if dist.is_available() and dist.is_initialized() else total
