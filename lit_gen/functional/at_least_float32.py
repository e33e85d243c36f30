"""The precision that likelihoods need."""

__all__ = ["at_least_float32"]

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Returns float32 for half precision, in which autocast leaves what networks give, and other numbers as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
