"""The importance weighted bound on a log-probability, from any number of samples in constant memory."""

__all__ = ["importance_bound"]

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def importance_bound(log_weights: Iterable[Tensor]) -> Tensor:
    r"""Returns the bound of K samples in nats, shape [B], equation (8) of the paper.

    .. math:: \log \frac1K \sum_k w_k \le \log p(x) \text{ in expectation}, \quad w_k = \frac{p(x, z_k)}{q(z_k|x)}

    It grows with K, in expectation, towards log p(x). Blocks of samples are taken one by one and none is kept.

    References:
        | Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2016)
        | https://arxiv.org/abs/1509.00519

    Arguments:
        log_weights: Blocks of log w, each of any number k of samples, shape [k, B]; K is how many they are in all.
    """
    total, num = None, 0
    for block in log_weights:
        part = block.logsumexp(dim=0)
        total = part if total is None else torch.logaddexp(total, part)
        num += len(block)
    assert total is not None, "there is at least one sample"
    return total - math.log(num)
