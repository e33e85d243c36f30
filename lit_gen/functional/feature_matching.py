"""Distances between what a network makes of two images, layer by layer."""

__all__ = ["feature_matching"]

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    r"""Returns :math:`\sum_l w_l \, \| f_l - r_l \|_1 / N_l`, a scalar; the second maps are held fixed.

    References:
        | High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs
        | (Wang et al., 2018), equation (4)
        | https://arxiv.org/abs/1711.11585

    Arguments:
        fake: Maps of generated images, each of any shape with N_l numbers.
        real: Maps of the images that they should be, of the same shapes.
        weights: The layers' weights w_l; by default all are 1.
    """
    weights = [1.0] * len(fake) if weights is None else weights
    terms = [w * l1_loss(f.float(), r.detach().float()) for w, f, r in zip(weights, fake, real, strict=True)]
    return torch.stack(terms).sum()
