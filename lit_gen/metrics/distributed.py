"""The few things that processes say to each other."""

__all__ = ["from_rank_zero", "gathered", "rank", "sum_over_ranks", "world_size"]

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lit_gen.errors import UserError

T = TypeVar("T")


def world_size() -> int:
    """Returns the number of processes, 1 when they are not distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Returns this process's number, 0 when they are not distributed."""
    return dist.get_rank() if world_size() > 1 else 0


def _device() -> torch.device:
    """Returns where tensors must lie for the process group to send them."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def from_rank_zero(compute: Callable[[], T]) -> T:
    """Computes something on the first process and gives it to all, so that all hold the same to the last bit.

    Arguments:
        compute: Called on the first process only.

    Raises:
        UserError: On every process, if the computation raised it.
        RuntimeError: On the others, if the computation raised anything else.
    """
    if world_size() == 1:
        return compute()
    said: list[Any] = [None, None]
    failure: Exception | None = None
    if rank() == 0:
        try:
            said[0] = compute()
        except Exception as error:  # passed on: processes that are left waiting would never end
            failure = error
            said[1] = (isinstance(error, UserError), str(error))
    dist.broadcast_object_list(said, src=0, device=_device())
    if failure is not None:
        raise failure
    if said[1] is not None:
        by_user, message = said[1]
        raise UserError(message) if by_user else RuntimeError(f"the first process failed: {message}")
    value: T = said[0]
    return value


def gathered(parts: Sequence[Tensor]) -> list[Tensor]:
    """Returns the rows of all processes, part by part; every process must call it.

    Arguments:
        parts: This process's rows, each part of shape [n, …] for any n, 0 included, and at least one.

    Returns:
        In a single process the parts themselves; in several one part for each, in the order of their ranks.

    Raises:
        ValueError: If there is no part: nothing was taken in.
    """
    if not parts:
        raise ValueError("nothing was taken in that a score could be computed of")
    if world_size() == 1:
        return list(parts)
    rows = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    num = torch.tensor([len(rows)], device=rows.device)
    nums = [torch.empty_like(num) for _ in range(world_size())]
    dist.all_gather(nums, num)
    lengths = [int(length) for length in nums]
    # All send as many rows as the longest part has: backends differ in whether they can do otherwise.
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    received = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(received, padded)
    return [part[:length] for part, length in zip(received, lengths, strict=True)]


def sum_over_ranks(value: int) -> int:
    """Returns the sum of every process's value."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.int64, device=_device())
    dist.all_reduce(total)
    return int(total)
