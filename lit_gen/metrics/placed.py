"""Batches of images with their places among all that are scored."""

__all__ = ["Batches", "placed"]

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.distributed import world_size

Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]] | Iterable[tuple[Tensor, Tensor, Tensor | None]] | Iterable[Tensor]
"""Places int64 [n], images uint8 [n, C, H, W] and, where a metric looks at them, classes int64 [n]; or images alone."""


def placed(
    batches: Batches, shape: tuple[int, int, int], num_samples: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Yields places, images and classes, without those beyond the number that is scored.

    Arguments:
        batches: This process's images.
        shape: The real images' channels, height and width.
        num_samples: The number of images that are scored.

    Raises:
        UserError: If the images are of another shape.
    """
    start = 0
    for batch in batches:
        label = None
        if isinstance(batch, Tensor):
            assert world_size() == 1, "one of several processes says which of all the images its own are"
            index, image = torch.arange(start, start + len(batch)), batch
            start += len(batch)
        else:
            index, image, label = batch if len(batch) == 3 else (*batch, None)
        if image.shape[1:] != shape:
            raise UserError(f"the images to score are of shape {tuple(image.shape[1:])}, the real ones of {shape}")
        taken = index < num_samples
        chosen = None if label is None else label[taken.to(label.device)]
        yield index[taken], image[taken.to(image.device)], chosen
        if start >= num_samples:
            return
