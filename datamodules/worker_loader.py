"""The loader of images that are read one by one, by worker processes."""

__all__ = ["ImageItems", "WorkerLoader"]

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lit_gen.datamodules.loader import ResumableLoader
from lit_gen.datamodules.order import Order
from lit_gen.errors import UserError


class ImageItems(Protocol):
    """Images that are made one at a time."""

    def __len__(self) -> int:
        """The number of images."""

    def item(self, index: Any, epoch: int) -> dict[str, Tensor]:
        """Returns one image, ``image`` uint8 [C, H, W], and what goes with it, by name.

        Of several sets that are taken side by side it is asked for a list of places, one in each.

        Whatever is random in it must be drawn from (seed, epoch, index) alone: which worker is asked, and when, is
        chance.
        """


class WorkerLoader(ResumableLoader):
    """Creates a loader that has `num_workers` processes read ahead.

    The workers outlive a training epoch: while its last batches are consumed they read the next epoch's first ones.
    What they have read but not handed out is not part of the position.

    Arguments:
        items: The images.
        batch_size: Images per batch and process.
        num_workers: Worker processes; 0 reads in this process.
        pin_memory: Whether batches are copied to page-locked memory, for faster transfer to a CUDA device.
        epoch: The epoch to begin with.
        size: The number of images in an epoch, if there are several sets; see `Order`.
        order: `shuffle`, `drop_last`, `seed`, `rank`, `world_size` and `sets` of `Order`.
    """

    def __init__(
        self,
        items: ImageItems,
        batch_size: int,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
        epoch: int = 0,
        size: int | None = None,
        **order: Any,
    ) -> None:
        super().__init__(Order(len(items) if size is None else size, batch_size, **order), epoch)
        self.items, self.num_workers, self.pin_memory = items, num_workers, pin_memory
        # Lightning looks for an attribute of this name when a run ends, and shuts the workers down.
        self._iterator: Iterator[dict[str, Tensor] | UserError] | None = None
        self._ahead: tuple[int, int] | None = None

    def _fetch(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor]]:
        for start in starts:
            if self._iterator is None or self._ahead != (epoch, start):
                self._close()
                self._iterator = self._open(epoch, range(start, starts.stop, starts.step))
            batch = self._take()
            last = start == starts[-1]
            self._ahead = (epoch + 1, 0) if last else (epoch, start + starts.step)
            if last and not self.order.drop_last:
                self._close()
            yield batch

    def _open(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor] | UserError]:
        loader: DataLoader[Any] = DataLoader(
            _Reader(self.items, self.order),  # type: ignore[arg-type]
            batch_sampler=_requests(self.order, epoch, starts, self.order.starts(0, self.limit)),  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            # Without a generator of its own, DataLoader draws the workers' base seed from the global random state.
            generator=torch.Generator(),
        )
        return iter(loader)

    def _take(self) -> dict[str, Tensor]:
        assert self._iterator is not None
        try:
            batch = next(self._iterator)
        except BaseException as error:
            self._close()
            if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid"):
                raise UserError(
                    f"a data loader worker died, most likely for want of memory ({str(error).splitlines()[0]}): "
                    "lower --data.num_workers or --data.batch_size"
                ) from error
            raise
        if isinstance(batch, UserError):
            self._close()
            raise batch
        return batch

    def _close(self) -> None:
        """Ends the workers at once: an error's traceback may refer to them for as long as it is kept."""
        shutdown = getattr(self._iterator, "_shutdown_workers", None)
        self._iterator = None
        if shutdown is not None:
            shutdown()


def _requests(order: Order, epoch: int, starts: range, again: range) -> Iterator[tuple[int, int, list[Any]]]:
    """Yields (epoch, offset, indices) batch after batch; in training without end, later with the offsets `again`.

    A function and not a method: the iterator that reads from it must not refer back to the loader that holds it, or
    the workers would live on until the garbage collector finds the circle.
    """
    while starts:
        visit = order.epoch(epoch)
        for start in starts:
            yield epoch, start, order.batch(visit, start).tolist()
        if not order.drop_last:
            return
        epoch, starts = epoch + 1, again


class _Reader:
    """Answers a whole batch's request at once, in the worker.

    A UserError is returned, not raised: torch would wrap its one line in the worker's traceback.
    """

    def __init__(self, items: ImageItems, order: Order) -> None:
        self.items, self.order = items, order

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, request: tuple[int, int, list[Any]]) -> dict[str, Tensor] | UserError:
        epoch, start, places = request
        try:
            items = [self.items.item(place, epoch) for place in places]
        except UserError as error:
            return UserError(str(error))
        batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        return batch | self.order.names(torch.tensor(places), start, epoch)


def _as_it_is(batch: Any) -> Any:
    return batch
