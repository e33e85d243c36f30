"""Entropy and mutual information of discrete values, from counts, and what makes numbers discrete."""

__all__ = ["discretise", "entropy", "mutual_information"]

import torch
from torch import Tensor


def discretise(values: Tensor, bins: int) -> Tensor:
    """Puts numbers [N, D] into bins of equal width between each column's least and greatest, int64 [N, D]."""
    assert values.ndim == 2 and bins >= 1
    values = values.double()
    low, high = values.amin(dim=0), values.amax(dim=0)
    width = torch.where(high > low, (high - low) / bins, 1.0)
    return ((values - low) / width).long().clamp(max=bins - 1)  # the greatest belongs to the last bin


def entropy(values: Tensor) -> Tensor:
    """Returns the entropy H of each column of discrete values [N, D], in nats, float64 [D]."""
    return torch.stack([_entropy(column) for column in _numbered(values).T])


def mutual_information(a: Tensor, b: Tensor) -> Tensor:
    r"""Returns the mutual information of every column of `a` with every column of `b`, in nats.

    .. math:: I(a; b) = H(a) + H(b) - H(a, b)

    with the entropies of the empirical distributions. Of N images, columns of A and B values that have nothing to do
    with each other appear to share about (A − 1)(B − 1) / 2N nats.

    Arguments:
        a: Discrete values, integers, shape [N, D].
        b: Others of the same N, shape [N, F].

    Returns:
        float64 [D, F], none below 0.
    """
    assert a.ndim == b.ndim == 2 and len(a) == len(b) > 0
    a, b = _numbered(a), _numbered(b)
    apart = entropy(a)[:, None] + entropy(b)
    kinds = int(b.max()) + 1
    together = torch.stack([torch.stack([_entropy(column * kinds + other) for other in b.T]) for column in a.T])
    return (apart - together).clamp(min=0.0)


def _numbered(values: Tensor) -> Tensor:
    """Returns values as 0, 1, …, column by column."""
    return torch.stack([column.unique(return_inverse=True)[1] for column in values.T], dim=1)


def _entropy(values: Tensor) -> Tensor:
    p = torch.bincount(values).double() / len(values)
    return -torch.special.xlogy(p, p).sum()
