"""The borders between objects."""

__all__ = ["instance_edges"]

import torch
from torch import Tensor


def instance_edges(instance: Tensor) -> Tensor:
    """Marks each pixel one of whose four neighbours belongs to another object: both sides of every border.

    References:
        | High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
        | (Wang et al., 2018), section 3.3
        | https://arxiv.org/abs/1711.11585

    Arguments:
        instance: Maps in which the pixels of one object share a number, integers, shape [B, H, W].

    Returns:
        float32 [B, 1, H, W], 1 where there is an edge and 0 elsewhere.
    """
    edges = torch.zeros_like(instance, dtype=torch.bool)
    for dim in (1, 2):
        length = instance.shape[dim]
        differs = instance.narrow(dim, 1, length - 1) != instance.narrow(dim, 0, length - 1)
        edges.narrow(dim, 1, length - 1).logical_or_(differs)
        edges.narrow(dim, 0, length - 1).logical_or_(differs)
    return edges[:, None].float()
