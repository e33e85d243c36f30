"""Whose turn each image is, in every epoch and on every process."""

__all__ = ["Order"]

import hashlib
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

    Arguments:
        size: The number of images.
        batch_size: Images per batch and process, B.
        shuffle: Whether π is random.
        drop_last: Whether every batch must be full on every rank.
        seed: Seeds the orders, together with the epoch.
        rank: This process, r.
        world_size: The number of processes, W.
    """

    size: int
    batch_size: int
    shuffle: bool = False
    drop_last: bool = False
    seed: int = 0
    rank: int = 0
    world_size: int = 1

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
        """The order π of an epoch, int64 [size], drawn without touching the global random state."""
        if not self.shuffle:
            return torch.arange(self.size)
        digest = hashlib.sha256(f"order of epoch {epoch}, seed {self.seed}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        return torch.randperm(self.size, generator=generator)

    def batch(self, order: Tensor, start: int) -> Tensor:
        """This rank's images of the global batch at an offset, int64 [B], a view of the epoch's order."""
        if self.drop_last:
            start += self.rank * self.batch_size
            return order[start : start + self.batch_size]
        return order[start + self.rank : start + self.step : self.world_size]
