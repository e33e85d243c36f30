"""Randomness that depends on what it is for (seed, rank, step, index), never on what ran before it."""

__all__ = ["derive_seed", "generators", "isolated"]

import contextlib
import hashlib
import random
from collections.abc import Iterable, Iterator

import numpy
import torch


def derive_seed(*parts: int | str) -> int:
    """Hashes integers and words into one seed in [0, 2⁶³).

    Unlike seed + rank + step, unlike parts never meet in one seed.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generators(seed: int, indices: Iterable[int]) -> list[torch.Generator]:
    """Creates one CPU generator per image, so that image i of a seed is the same in every batch and on every rank.

    Arguments:
        seed: The seed of the whole set of images.
        indices: The images' indices in the set.
    """
    return [torch.Generator().manual_seed(derive_seed(seed, "image", index)) for index in indices]


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Puts the global generators of torch (all devices), numpy and Python back as they were when the block ends."""
    numpy_state, python_state = numpy.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        numpy.random.set_state(numpy_state)
        random.setstate(python_state)
