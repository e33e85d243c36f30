"""The Inception Score of class logits."""

__all__ = ["inception_score"]

import math

import torch
from torch import Tensor


def inception_score(logits: Tensor, splits: int = 1) -> Tensor:
    r"""Returns the exponential of the mutual information between image and predicted class, for each of several parts.

    .. math:: \mathrm{IS} = \exp \Big( \frac{1}{N} \sum_n \mathrm{KL}\big( p(y \mid x_n) \,\|\, p(y) \big) \Big),
        \qquad p(y) = \frac{1}{N} \sum_n p(y \mid x_n)

    All of it stays in log space, so that classes with vanishing probability contribute 0 and not NaN.

    References:
        | Improved Techniques for Training GANs (Salimans et al., 2016)
        | https://arxiv.org/abs/1606.03498

    Arguments:
        logits: Unnormalised log-probabilities, shape [N, K].
        splits: The number S of consecutive parts of nearly equal size, each scored by itself; S ≤ N.

    Returns:
        The scores in float64, each in [1, K], shape [S].
    """
    assert logits.ndim == 2 and 1 <= splits <= len(logits), "there is at least one row of logits for each split"
    log_p = logits.to(torch.float64).log_softmax(dim=1)
    scores = []
    for part in range(splits):
        rows = log_p[part * len(log_p) // splits : (part + 1) * len(log_p) // splits]
        log_marginal = rows.logsumexp(dim=0) - math.log(len(rows))
        # exp(−inf)·(−inf − −inf) is NaN where it should be 0: a class that a row rules out entirely adds nothing.
        terms = torch.where(rows.isneginf(), 0.0, rows.exp() * (rows - log_marginal))
        scores.append(terms.sum(dim=1).mean().exp())
    return torch.stack(scores)
