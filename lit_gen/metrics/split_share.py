"""A process's share of the batches of a split."""

__all__ = ["split_share"]

from collections.abc import Iterator

import torch
from torch import Tensor

from lit_gen.contracts import Batch, ImageData
from lit_gen.metrics.distributed import rank, world_size
from lit_gen.metrics.reference import positions


def split_share(data: ImageData, split: str, batch_size: int, count: int) -> Iterator[tuple[Tensor, Batch]]:
    """Iterates over this process's share of a split: every so many-th batch, all that is in it.

    Arguments:
        data: The images.
        split: ``"train"``, ``"val"`` or ``"test"``.
        batch_size: The number of images in a batch.
        count: How many of the images are taken, evenly spaced.

    Yields:
        The images' places in the split, int64 [N] with N ≥ 1, and the batches as the data yield them.
    """
    wanted = torch.zeros(data.num_images(split), dtype=torch.bool)
    wanted[positions(len(wanted), count)] = True
    start = 0
    for number, batch in enumerate(data.batches(split, batch_size)):
        place = torch.arange(start, start + len(batch["image"]))
        start += len(place)
        taken = wanted[place]
        if number % world_size() == rank() and taken.any():
            yield place[taken], {name: value[taken.to(value.device)] for name, value in batch.items()}
