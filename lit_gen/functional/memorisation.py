"""Whether generated images are nearer to the training images than fresh ones would be."""

__all__ = ["Memorisation", "memorisation", "rank_sum"]

import math
from typing import NamedTuple

import torch
from torch import Tensor


def rank_sum(a: Tensor, b: Tensor) -> float:
    r"""Returns the Mann–Whitney statistic of two samples as a standard normal score, negative where `a` is smaller.

    .. math:: Z = \frac{U - nm/2}{\sqrt{nm\,(n + m + 1)/12}}

    with U the pairs in which `a` is greater, ties counting half.
    """
    n, m = len(a), len(b)
    a, ordered = a.contiguous(), b.sort().values
    below, up_to = torch.searchsorted(ordered, a), torch.searchsorted(ordered, a, right=True)
    u = float((below + up_to).double().sum()) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


class Memorisation(NamedTuple):
    """What `memorisation` tells.

    Attributes:
        ratio: The median distance from a sample to the training images over that from a held-out image to them: about
            1 where samples are like fresh images, 0 where they are copies.
        copying: The score C_T: standard normal where samples are like fresh images, far below 0 where they are nearer
            to the training images, far above where they are farther.
        close: The share of samples that are nearer to the training images than all but 1 % of held-out images are.
        nearer: The share of samples that are nearer to a training than to a held-out image.
        expected: What that share is for fresh images, from the number of images in both splits alone.
    """

    ratio: float
    copying: float
    close: float
    nearer: float
    expected: float


def memorisation(sample: Tensor, held_out: Tensor, across: Tensor, num_train: int) -> Memorisation:
    """Compares samples with images that the model has not seen.

    References:
        | A Non-Parametric Test to Detect Data-Copying in Generative Models (Meehan et al., 2020), with a single cell
        | https://arxiv.org/abs/2004.05675

    Arguments:
        sample: Distances from samples to their nearest training images, shape [N].
        held_out: Distances from held-out images to their nearest training images, shape [M].
        across: Distances from samples to their nearest held-out images, shape [N].
        num_train: The number of training images.
    """
    return Memorisation(
        ratio=float(sample.median() / held_out.median()),
        copying=rank_sum(sample, held_out),
        close=float((sample < held_out.quantile(0.01)).double().mean()),
        nearer=float((sample < across).double().mean()),
        expected=num_train / (num_train + len(held_out)),
    )
