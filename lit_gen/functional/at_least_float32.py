"""The precision that likelihoods need."""

__all__ = ["at_least_float32"]

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Returns half-precision numbers, which autocast has networks give, as float32, and others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
