"""Randomness that depends on what it is for (seed, rank, step, index), never on what ran before it."""

__all__ = ["derive_seed", "generators", "isolated", "rand", "randint", "randn", "truncated_randn"]

import contextlib
import hashlib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy
import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError


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


def randn(shape: Sequence[int], generator: Generators | None, device: torch.device) -> Tensor:
    """Draws standard normal float32 noise, row i from generator i if there is one per row.

    The numbers are drawn where the generators live and moved to the device, so CPU generators give the same noise on
    every device. Without a generator they come from the device's global generator.

    Arguments:
        shape: The shape of the noise; its first dimension counts the images.
    """
    return _draw(torch.randn, shape, generator, device)


def rand(shape: Sequence[int], generator: Generators | None, device: torch.device) -> Tensor:
    """Draws uniform float32 numbers in [0, 1); arguments as for `randn`."""
    return _draw(torch.rand, shape, generator, device)


def truncated_randn(shape: Sequence[int], limit: float, generator: Generators | None, device: torch.device) -> Tensor:
    """Draws standard normal numbers given that their magnitude is at most `limit`; other arguments as for `randn`.

    Raises:
        UserError: If the limit is not above 0.
    """
    if not limit > 0:
        raise UserError(f"the truncation is {limit}, and must be above 0")
    # By the inverse of the distribution function: one uniform number each, so that image i still depends on i alone.
    half = math.erf(limit / math.sqrt(2)) * (1 - 1e-6)
    return math.sqrt(2) * torch.erfinv((2 * rand(shape, generator, device) - 1) * half)


def randint(high: int, num: int, generator: Generators | None, device: torch.device) -> Tensor:
    """Draws integers in [0, high), shape [num], int64; arguments as for `randn`."""
    return _draw(lambda size, **where: torch.randint(high, size, **where), (num,), generator, device)


def _draw(
    function: Callable[..., Tensor], shape: Sequence[int], generator: Generators | None, device: torch.device
) -> Tensor:
    if generator is None:
        return function(tuple(shape), device=device)
    if isinstance(generator, torch.Generator):
        return function(tuple(shape), generator=generator, device=generator.device).to(device)
    assert len(generator) == shape[0], f"{len(generator)} generators for {shape[0]} images"
    rows = [function((1, *shape[1:]), generator=row, device=row.device) for row in generator]
    return torch.cat(rows).to(device)


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
