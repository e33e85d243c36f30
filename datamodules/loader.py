"""What every loader shares: a position that survives the process."""

__all__ = ["ResumableLoader"]

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from lit_gen.datamodules.order import Order
from lit_gen.errors import UserError


class ResumableLoader(ABC):
    """Creates a loader that counts what it has handed out.

    Its position (epoch, images consumed by all processes together) names no rank and no batch size, so a run may be
    resumed with others. It counts the batches that the consumer has received. With an epoch's last batch it moves to
    the start of the next epoch. An iteration that was left midway ends its epoch: the next one starts a new order.

    Arguments:
        order: Whose turn each image is.
        epoch: The epoch to begin with.

    Raises:
        UserError: If the order leaves out its ragged end and there is no full batch.
    """

    def __init__(self, order: Order, epoch: int = 0) -> None:
        assert 0 <= order.rank < order.world_size
        if order.batch_size < 1:
            raise UserError(f"batch_size is {order.batch_size}; it must be at least 1")
        if order.drop_last and order.size < order.step:
            raise _too_few(order)
        self.order = order
        self.limit: int | None = None
        """The number of batches after which an epoch ends early, as Lightning's `limit_train_batches` asks."""
        self._epoch, self._consumed, self._begun = epoch, 0, False

    def __len__(self) -> int:
        """The number of this rank's batches in a whole epoch, whatever the position and the limit."""
        return len(self.order.starts(0))

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Iterates from the current position to the end of its epoch."""
        if self._begun or (self._consumed and not self.order.starts(self._consumed, self.limit)):
            self._epoch, self._consumed = self._epoch + 1, 0
        self._begun = False
        return self._iterate(self._epoch, self.order.starts(self._consumed, self.limit))

    def state_dict(self) -> dict[str, Any]:
        """Returns the position behind the last batch handed out; the same on every rank."""
        order = self.order
        state = {"epoch": self._epoch, "consumed": self._consumed, "size": order.size, "seed": order.seed}
        return state if order.sets is None else {**state, "sets": dict(order.sets)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Moves to a saved position, where the next iteration starts.

        The middle of an epoch means nothing in another order: if the number of images or the seed has changed, a
        warning is given and the next epoch begins.
        """
        self._epoch, self._consumed, self._begun = int(state["epoch"]), int(state["consumed"]), False
        sets = None if self.order.sets is None else dict(self.order.sets)
        here = (self.order.size, self.order.seed, sets)
        if self._consumed and (state["size"], state["seed"], state.get("sets")) != here:
            warnings.warn(
                f"the run being resumed had {_counted(state['size'], state.get('sets'))} and data seed {state['seed']},"
                f" this one has {_counted(self.order.size, sets)} and {self.order.seed}: the interrupted epoch is not "
                "continued, a new one begins",
                stacklevel=2,
            )
            self._epoch, self._consumed = self._epoch + 1, 0

    @abstractmethod
    def _fetch(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor]]:
        """Yields this rank's batches of one epoch, one for each offset in `starts`.

        Batches hold ``index`` int64 [B], and with `drop_last`, for training, ``epoch`` int64 [B].
        """

    def _iterate(self, epoch: int, starts: range) -> Iterator[dict[str, Tensor]]:
        for start, batch in zip(starts, self._fetch(epoch, starts), strict=False):
            # The position moves before the batch is handed out: Lightning saves while it holds an epoch's last batch,
            # and by then that epoch is over.
            self._begun = start != starts[-1]
            self._epoch, self._consumed = (epoch, start + starts.step) if self._begun else (epoch + 1, 0)
            yield batch


def _counted(size: int, sets: Mapping[str, int] | None) -> str:
    if sets is None:
        return f"{size} training images"
    return " with ".join(f"{total} {name}s" for name, total in sets.items())


def _too_few(order: Order) -> UserError:
    most = order.size // order.world_size
    cure = f"set --data.batch_size to {most} or less" if most else f"use at most {order.size} processes"
    processes = f"{order.world_size} process{'es' if order.world_size > 1 else ''}"
    return UserError(
        f"the training split has {order.size} images, fewer than one global batch of {order.step} "
        f"(batch_size {order.batch_size} × {processes}): {cure}"
    )
