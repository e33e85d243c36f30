"""The first held-out images, always the same ones, as a model gets them."""

__all__ = ["held_out_batches"]

from collections.abc import Iterator
from typing import Any

import torch

from lit_gen.contracts import Batch


def held_out_batches(data: Any, num: int, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yields batches of the first validation images, or test or training images where there are none, in that order.

    Arguments:
        data: The datamodule.
        num: The number of images at most.
        batch_size: The images in a batch at most.
        device: Where they go.
    """
    split = next(name for name in ("val", "test", "train") if data.num_images(name))
    left = num
    for loaded in data.batches(split, min(batch_size, num)):
        if left <= 0:
            return
        on_device = {name: tensor[:left].to(device) for name, tensor in loaded.items()}
        left -= len(on_device["image"])
        yield data.on_after_batch_transfer(on_device, 0)
