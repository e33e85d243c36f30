"""The loader of images that fit in memory."""

__all__ = ["TensorLoader"]

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from lit_gen.datamodules.loader import ResumableLoader
from lit_gen.datamodules.order import Order


class TensorLoader(ResumableLoader):
    """Creates a loader that slices tensors by a permutation: no Python runs per image.

    Arguments:
        tensors: ``image`` uint8 [N, C, H, W] and whatever goes with it, such as ``label`` int64 [N], by name.
        batch_size: Images per batch and process.
        epoch: The epoch to begin with.
        size: The number of images in an epoch, if there are several sets; see `Order`. A tensor with a set's name is
            of that set, the others are of the first one.
        order: `shuffle`, `drop_last`, `seed`, `rank`, `world_size` and `sets` of `Order`.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], batch_size: int, *, epoch: int = 0, size: int | None = None, **order: Any
    ) -> None:
        if size is None:
            sizes = {len(tensor) for tensor in tensors.values()}
            assert len(sizes) == 1, f"tensors of unequal lengths: {sizes}"
            size = sizes.pop()
        super().__init__(Order(size, batch_size, **order), epoch)
        self.tensors = dict(tensors)

    def _fetch(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor]]:
        # Where the tensors are: images held on the device are sliced there, by an order that was sent once per epoch.
        order = self.order.epoch(epoch).to(next(iter(self.tensors.values())).device)
        for start in starts:
            index = self.order.batch(order, start)
            columns = dict(zip(self.order.sets, index.unbind(1), strict=True)) if self.order.sets else {}
            first = next(iter(columns.values()), index)
            batch = {name: tensor.index_select(0, columns.get(name, first)) for name, tensor in self.tensors.items()}
            yield batch | self.order.names(index, start, epoch)
