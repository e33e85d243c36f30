"""Held-out images beside what a model makes of them."""

__all__ = ["translation_grid"]

import math
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.held_out import held_out_batches
from lit_gen.contracts import Batch, SupportsAttributes, SupportsTranslate
from lit_gen.errors import UserError
from lit_gen.functional.attributes import change_attribute
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.label_colours import label_colours
from lit_gen.functional.quantize import to_uint8


def translation_grid(model: SupportsTranslate, data: Any, num: int, batch_size: int, device: torch.device) -> Tensor:
    """Draws source | output | target of the first held-out images, always the same ones; two columns of such triples.

    Label maps are painted. Without source and label map, the images are their own sources, and there is no target; a
    model of attributes has an output for each attribute that it can change.

    Arguments:
        model: The model, within `lit_gen.callbacks.sampling.inference`.
        data: The datamodule; see `held_out_batches`.
        num: The number of images at most.
        batch_size: The images translated at once.
        device: Where the model is.

    Returns:
        uint8 [C, H, W]; C is 1 or 3.

    Raises:
        UserError: If the outputs hold NaN.
    """
    rows: list[Tensor] = []
    for batch in held_out_batches(data, num, batch_size, device):
        try:
            outputs = [to_uint8(model.translate(asked)) for asked in _asked(model, batch)]
        except ValueError as error:
            raise UserError(
                "the model's translations hold NaN: training has diverged; go on from the last good checkpoint with a "
                "smaller learning rate"
            ) from error
        rows.append(torch.stack([_coloured(part) for part in _beside(batch, outputs)], dim=1).cpu())
    triples = torch.cat(rows)
    return image_grid(triples.flatten(0, 1), triples.shape[1] * math.ceil(math.sqrt(len(triples) / triples.shape[1])))


def _asked(model: SupportsTranslate, batch: Batch) -> list[Batch]:
    """Returns what the model is asked for: the batch itself, or each attribute changed."""
    if not isinstance(model, SupportsAttributes) or "attributes" not in batch:
        return [batch]
    own, groups = batch["attributes"], model.attribute_groups
    return [{**batch, "wanted": change_attribute(own, place, groups)} for place in model.changeable]


def _beside(batch: Batch, outputs: list[Tensor]) -> list[Tensor]:
    image = to_uint8(batch["image"])
    if "source" in batch:
        return [to_uint8(batch["source"]), *outputs, image]
    if "label_map" in batch:
        return [label_colours(batch["label_map"]), *outputs, image]
    return [image, *outputs]


def _coloured(images: Tensor) -> Tensor:
    """Returns images [B, 1 or 3, H, W] with three channels."""
    return images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
