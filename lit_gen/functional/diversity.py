"""How unlike each other images are, and how their classes are spread."""

__all__ = ["LabelSpread", "label_spread", "pairwise_distance"]

from typing import NamedTuple

import torch
from torch import Tensor


def pairwise_distance(points: Tensor, chunk_size: int = 512) -> float:
    """Returns the mean Euclidean distance between two unlike points of a set, shape [N, D] with N ≥ 2."""
    num = len(points)
    assert num >= 2
    total = sum(float(torch.cdist(part, points).sum(dim=1).cpu().double().sum()) for part in points.split(chunk_size))
    return total / (num * (num - 1))


class LabelSpread(NamedTuple):
    """What `label_spread` tells.

    Attributes:
        entropy: The entropy of the labels in nats, at most log K.
        divergence: The Kullback–Leibler divergence KL(labels ‖ reference) in nats.
        found: The number of classes that occur.
    """

    entropy: float
    divergence: float
    found: int


def label_spread(label: Tensor, reference: Tensor) -> LabelSpread:
    """Describes how labels are spread over the classes.

    Arguments:
        label: Labels in [0, K), shape [N].
        reference: How often each class occurs in the data, any positive scale, shape [K].
    """
    count = torch.bincount(label, minlength=len(reference)).double()
    p, q = count / count.sum(), reference.double() / reference.sum()
    log_p = torch.where(p > 0, p, 1).log()
    entropy = -(p * log_p).sum()
    # A class that the data lack, and the classifier never learnt, makes it infinite.
    divergence = torch.where(p > 0, p * (log_p - q.log()), 0).sum()
    return LabelSpread(max(float(entropy), 0.0), float(divergence), int((count > 0).sum()))
