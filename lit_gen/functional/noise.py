"""Random numbers for images: from one generator for all, or from one per image, whatever the batch."""

__all__ = ["rand", "randint", "randn", "truncated_randn"]

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError


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
