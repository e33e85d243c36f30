"""Label maps as one plane per class."""

__all__ = ["label_planes"]

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def label_planes(label_map: Tensor, num_label_classes: int) -> Tensor:
    """Returns a plane of zeros and ones for each class, and a last one for pixels whose class is unknown.

    Unknown is 255, and with it every label that is no class; with a plane of its own it is told from all classes, where
    zeros alone would leave a network's first layer with nothing but its bias.

    Arguments:
        label_map: Labels in 0 … K − 1 or 255, integers, shape [B, H, W].
        num_label_classes: The number of classes K.

    Returns:
        float32 [B, K + 1, H, W].
    """
    unknown = (label_map < 0) | (label_map >= num_label_classes)
    known = torch.where(unknown, num_label_classes, label_map.long())
    return one_hot(known, num_label_classes + 1).permute(0, 3, 1, 2).float().contiguous()
