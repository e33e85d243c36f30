"""Directions in latent space that change a generator's images most."""

__all__ = ["semantic_directions"]

from collections.abc import Sequence

import torch
from torch import Tensor


def semantic_directions(weights: Sequence[Tensor], num: int) -> tuple[Tensor, Tensor]:
    r"""Returns the directions that the first affine layers Az + b stretch most, in closed form.

    A move by αn changes the layer's output by αAn, whatever z is. The unit vectors that maximise ‖An‖², one after the
    other at right angles, are the eigenvectors of AᵀA with the greatest eigenvalues (equations (4) to (7)).

    References:
        | Closed-Form Factorization of Latent Semantics in GANs (Shen & Zhou, 2021)
        | https://arxiv.org/abs/2007.06600

    Arguments:
        weights: The matrices A of all layers that take the latent, shape [out, D] each.
        num: The number of directions K, at most D.

    Returns:
        Unit directions, shape [K, D], and their eigenvalues ‖An‖², shape [K], the greatest first; a direction's
        greatest component is positive. Both are float64, on the CPU.
    """
    size = weights[0].shape[1]
    assert all(weight.ndim == 2 and weight.shape[1] == size for weight in weights) and 0 < num <= size
    a = torch.cat(list(weights)).cpu().double()
    eigenvalue, eigenvector = torch.linalg.eigh(a.T @ a)  # in ascending order
    n = eigenvector.T.flip(0)[:num]
    sign = n.gather(1, n.abs().argmax(dim=1, keepdim=True)).sign()
    return n * sign, eigenvalue.flip(0)[:num].clamp(min=0.0)
