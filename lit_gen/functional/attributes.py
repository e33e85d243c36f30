r"""Attributes of images: what a classifier of them is told, and how they are changed.

Attributes [B, A] in {0, 1} fall into groups: one place for what is there or not, several where exactly one of them is
there. With logits l and attributes a of one image,

.. math:: L = \sum_{\{i\}} \left(\mathrm{softplus}(l_i) - a_i l_i\right)
              + \sum_{\{i, j, \ldots\}} \left(\log \sum_j e^{l_j} - \sum_j a_j l_j\right)
"""

__all__ = [
    "attribute_error",
    "attribute_loss",
    "attribute_values",
    "change_attribute",
    "recognised_attributes",
    "with_value",
]

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus


def attribute_loss(logits: Tensor, attributes: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Returns −log P(attributes), the sum over groups of (binary) cross-entropies; a mean over the batch.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation
        | (Choi et al., 2018), equations (2) and (3)
        | https://arxiv.org/abs/1711.09020

    Arguments:
        logits: A classifier's outputs, shape [B, A].
        attributes: What it should say, shape [B, A], in {0, 1}.
        groups: The groups' places.
    """
    assert logits.shape == attributes.shape
    terms = []
    for group in groups:
        l, a = logits[:, list(group)], attributes[:, list(group)]  # noqa: E741 (the formula's letter)
        normaliser = softplus(l[:, 0]) if len(group) == 1 else l.logsumexp(1)
        terms.append(normaliser - (a * l).sum(1))
    return torch.stack(terms).sum(0).mean()


def attribute_values(scores: Tensor, group: Sequence[int], threshold: float = 0.0) -> Tensor:
    """Returns each image's value of one group, int64 [B]: which of its places, or whether its one place is there.

    Arguments:
        scores: Logits or attributes, shape [B, A].
        group: The group's places.
        threshold: Above it a group's one place is there: 0 for logits, 0.5 for attributes.
    """
    chosen = scores[:, list(group)]
    return (chosen[:, 0] > threshold).long() if len(group) == 1 else chosen.argmax(1)


def recognised_attributes(logits: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Returns the attributes that logits speak for, float32 in {0, 1}, [B, A] → [B, A]; see `attribute_values`."""
    found = torch.zeros_like(logits, dtype=torch.float32)
    for group in groups:
        found = with_value(found, group, attribute_values(logits, group))
    return found


def with_value(attributes: Tensor, group: Sequence[int], value: Tensor) -> Tensor:
    """Returns attributes [B, A] in which one group has these values, int64 [B], as `attribute_values` counts them."""
    out = attributes.clone()
    columns = value[:, None] if len(group) == 1 else one_hot(value, len(group))
    out[:, list(group)] = columns.to(out.dtype)
    return out


def attribute_error(logits: Tensor, attributes: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Returns the share of images' groups whose value is not recognised; arguments as for `attribute_loss`."""
    wrong = [attribute_values(logits, group) != attribute_values(attributes, group, 0.5) for group in groups]
    return torch.stack(wrong).float().mean()


def change_attribute(attributes: Tensor, place: int, groups: Sequence[Sequence[int]]) -> Tensor:
    """Returns attributes [B, A] with one changed: the other value if it is its group's only place, else this value.

    Arguments:
        attributes: Attributes, shape [B, A], in {0, 1}.
        place: The attribute's.
        groups: The groups' places.
    """
    (group,) = (group for group in groups if place in group)
    out = attributes.clone()
    if len(group) == 1:
        out[:, place] = 1 - attributes[:, place]
    else:
        out[:, list(group)] = 0
        out[:, place] = 1
    return out
