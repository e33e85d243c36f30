"""Labels that images are made by: such as a model was trained with."""

__all__ = ["checked_label", "drawn_label"]

import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.noise import randint


def drawn_label(
    label: Tensor | None, num: int, num_classes: int | None, generator: Generators | None, device: torch.device
) -> Tensor | None:
    """Returns the labels that are given or, of a conditional model's images without, uniformly drawn ones, shape [num].

    Arguments:
        label: Class labels, shape [num], or None.
        num: The number of images.
        num_classes: As for `checked_label`.
        generator: The source of randomness.
        device: Where the model is.

    Raises:
        UserError: If labels are given to an unconditional model, or are out of range.
    """
    if label is None and num_classes is not None:
        return randint(num_classes, num, generator, device)
    return checked_label(label, num_classes, device)


def checked_label(label: Tensor | None, num_classes: int | None, device: torch.device) -> Tensor | None:
    """Returns the labels, on the device, that images are to be made by.

    Arguments:
        label: Class labels, shape [B], or None.
        num_classes: The number of classes of a conditional model, None for an unconditional one.
        device: Where the model is.

    Raises:
        UserError: If labels are given to an unconditional model, are missing or out of range.
    """
    if label is None:
        if num_classes is not None:
            raise UserError("this model is conditional: it needs labels to generate images")
        return None
    if num_classes is None:
        raise UserError("this model is unconditional: it cannot sample by label")
    label = label.to(device)
    if label.numel() and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
        raise UserError(f"labels run from 0 to {num_classes - 1}; asked for {label.unique().tolist()}")
    return label
