"""The loader of images that fit in memory."""

__all__ = ["TensorLoader"]

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lit_gen.datamodules.loader import ResumableLoader
from lit_gen.datamodules.order import Order


class TensorLoader(ResumableLoader):
    """Creates a loader that slices tensors by a permutation: no Python runs per image.

    Arguments:
        tensors: ``image`` uint8 [N, C, H, W] and whatever goes with it, such as ``label`` int64 [N], by name.
        batch_size: Images per batch and process.
        epoch: The epoch to begin with.
        order: `shuffle`, `drop_last`, `seed`, `rank` and `world_size` of `Order`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], batch_size: int, *, epoch: int = 0, **order: Any) -> None:
        sizes = {len(tensor) for tensor in tensors.values()}
        assert len(sizes) == 1, f"tensors of unequal lengths: {sizes}"
        super().__init__(Order(sizes.pop(), batch_size, **order), epoch)
        self.tensors = dict(tensors)

    def _fetch(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor]]:
        # Where the tensors are: images held on the device are sliced there, by an order that was sent once per epoch.
        order = self.order.epoch(epoch).to(next(iter(self.tensors.values())).device)
        for start in starts:
            index = self.order.batch(order, start)
            batch = {name: tensor.index_select(0, index) for name, tensor in self.tensors.items()}
            # A copy: a batch that outlives its epoch must not keep the whole order alive.
            batch["index"] = index.clone()
            if self.order.drop_last:
                batch["epoch"] = torch.full_like(index, epoch)
            yield batch
