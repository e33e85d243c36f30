"""Held-out images beside what a model gives back of them."""

__all__ = ["reconstruction_grid"]

import math
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.held_out import held_out_batches
from lit_gen.contracts import SupportsReconstruct
from lit_gen.errors import UserError
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.quantize import to_uint8
from lit_gen.training.seeding import derive_seed, generators


def reconstruction_grid(
    model: SupportsReconstruct, data: Any, num: int, seed: int, batch_size: int, device: torch.device
) -> Tensor:
    """Draws image | reconstruction of the first held-out images, always the same ones, in several columns of pairs.

    Arguments:
        model: The model, within `lit_gen.callbacks.sampling.inference`.
        data: The datamodule; see `held_out_batches`.
        num: The number of images at most.
        seed: The seed of what the model draws, if it draws anything: each image has noise of its own.
        batch_size: The images given at once.
        device: Where the model is.

    Returns:
        uint8 [C, H, W]; C is 1 or 3.

    Raises:
        UserError: If what is given back holds NaN.
    """
    pairs: list[Tensor] = []
    start, conditional = 0, getattr(model, "num_classes", None) is not None
    for batch in held_out_batches(data, num, batch_size, device):
        image = batch["image"]
        torch.manual_seed(derive_seed(seed, "batch", start))  # networks with noise of their own
        noise = generators(seed, range(start, start + len(image)))
        given = model.reconstruct(image, batch.get("label") if conditional else None, noise)
        try:
            pairs.append(torch.stack([to_uint8(image), to_uint8(given)], dim=1).cpu())
        except ValueError as error:
            raise UserError(
                "the model's reconstructions hold NaN: training has diverged; go on from the last good checkpoint with "
                "a smaller learning rate"
            ) from error
        start += len(image)
    beside = torch.cat(pairs)
    return image_grid(beside.flatten(0, 1), 2 * math.ceil(math.sqrt(len(beside) / 2)))
