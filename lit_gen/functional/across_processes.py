"""Means over the processes of a data parallel run, which is what one process would have computed."""

__all__ = ["mean_across_processes"]

import torch.distributed
from torch import Tensor


def mean_across_processes(x: Tensor) -> Tensor:
    """Returns the mean of a tensor over all processes, the tensor itself where there is but one; without gradient.

    Every process must call it, with the same shape.
    """
    x = x.detach()
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return x
    total = x.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
