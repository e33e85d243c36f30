"""How far a label map is another one: pixels that agree, and each class's overlap."""

__all__ = ["label_overlap"]

import torch
from torch import Tensor


def label_overlap(found: Tensor, label_map: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    r"""Counts what pixel accuracy and intersection over union are ratios of, image by image.

    Of image i, where the true label is known, the first column holds :math:`|\{p: \hat{y}_p = y_p\}|` and the number of
    pixels, and that of class k :math:`|\hat{Y}_k \cap Y_k|` and :math:`|\hat{Y}_k \cup Y_k|`.

    Arguments:
        found: The labels that were found, integers in 0 … K − 1, shape [N, H, W].
        label_map: The true labels, integers, shape [N, H, W]; what is not in 0 … K − 1 is unknown.
        num_classes: The number of classes K.

    Returns:
        The numerators and the denominators, each float64 [N, 1 + K].
    """
    y, guess = label_map.long().flatten(1), found.long().flatten(1)
    known = (y >= 0) & (y < num_classes)
    right = known & (y == guess)

    def per_class(labels: Tensor, where: Tensor) -> Tensor:
        counts = torch.zeros(len(labels), num_classes + 1, dtype=torch.int64, device=labels.device)
        place = torch.where(where, labels, num_classes)  # what does not count goes to a last column
        return counts.scatter_add_(1, place, torch.ones_like(place))[:, :-1]

    both = per_class(y, right)
    either = per_class(y, known) + per_class(guess, known) - both
    numerator = torch.cat([right.sum(1, keepdim=True), both], dim=1)
    return numerator.double(), torch.cat([known.sum(1, keepdim=True), either], dim=1).double()
