"""Label maps as colour images, and back."""

__all__ = ["label_colours", "labels_of_colours"]

import torch
from torch import Tensor


def label_colours(label_map: Tensor) -> Tensor:
    """Paints each class with a colour of its own: class 0 black, 255 (unknown) white, all 256 different.

    The bits of the label are dealt out to red, green and blue, the lowest three to their highest bits, and so on, as in
    the palette of the PASCAL VOC challenge.

    References:
        Everingham, Van Gool, Williams, Winn, Zisserman: The PASCAL Visual Object Classes (VOC) Challenge. 2010.

    Arguments:
        label_map: Labels in 0 … 255, uint8 or int64, shape [B, H, W].

    Returns:
        uint8 [B, 3, H, W].
    """
    colours = _palette().to(device=label_map.device, dtype=torch.uint8)[label_map.long()]
    return colours.permute(0, 3, 1, 2).contiguous()


def labels_of_colours(image: Tensor) -> Tensor:
    """Returns the label map that `label_colours` painted, int64 [B, H, W]; colours that it never paints are unknown.

    Arguments:
        image: A painted label map, uint8 [B, 3, H, W].
    """
    shift = torch.tensor([16, 8, 0], device=image.device)
    known, label = (_palette().to(image.device) << shift).sum(1).sort()
    code = (image.long() << shift[:, None, None]).sum(1)
    place = torch.searchsorted(known, code.contiguous()).clamp_(max=255)
    return torch.where(known[place] == code, label[place], 255)


def _palette() -> Tensor:
    """Returns the colour of each label, int64 [256, 3]."""
    label = torch.arange(256)
    palette = torch.zeros(256, 3, dtype=torch.int64)
    for bit in range(8):
        palette[:, bit % 3] |= (label >> bit & 1) << 7 - bit // 3
    palette[255] = 255
    return palette
