"""Whose turn each image is, in every epoch and on every process."""

__all__ = ["Order"]

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Order:
    """Creates the order in which W processes take the images 0 … size − 1, B at a time each.

    Epoch e visits the images in the order π of a private generator seeded by (seed, e), or in their own order if not
    shuffled. The global batch that starts at offset c is π[c : c + B·W]:

    - with `drop_last`, for training, rank r takes π[c + r·B : c + (r + 1)·B]; a ragged end is left out, so that every
      rank has the same number of full batches;
    - otherwise rank r takes every W-th image from c + r on; nothing is padded or repeated, the last batch is smaller.

    Several `sets` may be taken side by side, each in an order of its own: then π has a column for each. A set with
    fewer than `size` images goes round again, each round in a fresh order; of one with more, not all are taken.

    Arguments:
        size: The number of images.
        batch_size: Images per batch and process, B.
        shuffle: Whether π is random.
        drop_last: Whether every batch must be full on every rank.
        seed: Seeds the orders, together with the epoch.
        rank: This process, r.
        world_size: The number of processes, W.
        sets: The number of images of each set, by name, if there are several.
    """

    size: int
    batch_size: int
    shuffle: bool = False
    drop_last: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    sets: Mapping[str, int] | None = None

    @property
    def step(self) -> int:
        """The size of a global batch, B·W."""
        return self.batch_size * self.world_size

    def starts(self, consumed: int, limit: int | None = None) -> range:
        """The offsets of the global batches that remain of an epoch, as far as they hold images of this rank.

        Arguments:
            consumed: The images that all processes together have taken already.
            limit: The number of batches after which an epoch ends early.
        """
        end = self.size if limit is None else min(self.size, limit * self.step)
        return range(consumed, end - (self.step - 1 if self.drop_last else self.rank), self.step)

    def epoch(self, epoch: int) -> Tensor:
        """The order π of an epoch, drawn without touching the global random state.

        Returns:
            int64 [size], or [size, S] with S sets.
        """
        if self.sets is None:
            return self._rounds(f"order of epoch {epoch}", self.size)
        columns = [self._rounds(f"order of epoch {epoch} of {name}", total) for name, total in self.sets.items()]
        return torch.stack(columns, dim=1)

    def batch(self, order: Tensor, start: int) -> Tensor:
        """This rank's images of the global batch at an offset, int64 [B] or [B, S], a view of the epoch's order."""
        if self.drop_last:
            start += self.rank * self.batch_size
            return order[start : start + self.batch_size]
        return order[start + self.rank : start + self.step : self.world_size]

    def names(self, index: Tensor, start: int, epoch: int) -> dict[str, Tensor]:
        """Says what a batch holds.

        Returns:
            ``index`` int64 [B], the images' places in their split; with several sets those of the first one, and
            ``<name>_index`` for each further one. With `drop_last`, for training, ``epoch`` int64 [B] and, with several
            sets, ``visit`` int64 [B], the batch's places in the epoch.
        """
        # Copies: a batch that outlives its epoch must not keep the whole order alive.
        if self.sets is None:
            out = {"index": index.clone()}
        else:
            _, *others = self.sets
            out = {"index": index[:, 0].clone()}
            out |= {f"{name}_index": index[:, column].clone() for column, name in enumerate(others, start=1)}
        if self.drop_last:
            out["epoch"] = torch.full_like(out["index"], epoch)
            if self.sets is not None:
                start += self.rank * self.batch_size
                out["visit"] = torch.arange(start, start + len(index), device=index.device)
        return out

    def _rounds(self, name: str, total: int) -> Tensor:
        """The first `size` of the images 0 … total − 1, 0 … total − 1, …, each round shuffled if all are."""
        if not self.shuffle:
            return torch.arange(self.size) % max(total, 1)
        digest = hashlib.sha256(f"{name}, seed {self.seed}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        rounds = -(-self.size // max(total, 1))
        return torch.cat([torch.randperm(total, generator=generator) for _ in range(rounds)])[: self.size]
