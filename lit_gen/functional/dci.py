"""Disentanglement and completeness of a code, from how important its numbers are to predictors of the factors."""

__all__ = ["completeness", "disentanglement"]

import math

import torch
from torch import Tensor


def disentanglement(importance: Tensor) -> Tensor:
    r"""Returns whether each latent serves one factor only: the mean over latents of 1 − H_F(P_i), weighted by use.

    .. math:: P_{ij} = R_{ij} / \sum_k R_{ik}, \quad
        D = \sum_i \rho_i \, (1 - H_F(P_{i\cdot})), \quad \rho_i = \sum_j R_{ij} / \sum_{ij} R_{ij}

    with entropies to the base F, the number of factors.

    References:
        | A Framework for the Quantitative Evaluation of Disentangled Representations (Eastwood & Williams, 2018)
        | https://openreview.net/forum?id=By-7dz-AZ

    Arguments:
        importance: R ≥ 0, how important latent i is to the predictor of factor j, shape [D, F].

    Returns:
        float64 [], in [0, 1].
    """
    scores = _one_minus_entropy(importance.double())
    rho = importance.double().sum(dim=1)
    return (rho * scores).sum() / rho.sum()


def completeness(importance: Tensor) -> Tensor:
    r"""Returns whether each factor is told by one latent only: the mean over factors of 1 − H_D(P̃_j).

    .. math:: \tilde{P}_{ij} = R_{ij} / \sum_k R_{kj}

    with entropies to the base D, the number of latents; see `disentanglement`.
    """
    return _one_minus_entropy(importance.double().T).mean()


def _one_minus_entropy(weights: Tensor) -> Tensor:
    """Returns 1 − H of each row's shares [A, B], to the base B: [A]. A row of zeros tells nothing, and has 0."""
    assert weights.ndim == 2 and (weights >= 0).all()
    kinds = weights.shape[1]
    if kinds == 1:
        return torch.ones_like(weights[:, 0])
    total = weights.sum(dim=1, keepdim=True)
    p = torch.where(total > 0, weights / total, 1.0 / kinds)
    return 1.0 + torch.special.xlogy(p, p).sum(dim=1) / math.log(kinds)
