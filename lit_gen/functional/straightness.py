"""How far the paths that samples take are from straight lines, run through at an even speed."""

__all__ = ["excess_energy"]

from collections.abc import Sequence

import torch
from torch import Tensor


def excess_energy(path: Sequence[Tensor], times: Sequence[float]) -> Tensor:
    r"""Returns by what share the energy of paths exceeds that of straight lines between their ends; 0 for such lines.

    .. math:: \frac{\int E \|\dot z_t - (z_1 - z_0)\|^2 \, dt}{E \|z_1 - z_0\|^2}
        = \frac{\int E \|\dot z_t\|^2 \, dt}{E \|z_1 - z_0\|^2} - 1

    The integral is the paper's S(Z), which depends on the data's unit; the share does not.

    References:
        | Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow (Liu, Gong & Liu, 2023),
        | section 2
        | https://arxiv.org/abs/2209.03003

    Arguments:
        path: Where a batch is at each time, [B, …] each; in between it goes straight.
        times: These times, in order, upwards or downwards.
    """
    assert len(path) == len(times) >= 2
    z = torch.stack([at.flatten(1).double() for at in path])
    t = torch.tensor(times, dtype=torch.float64, device=z.device)
    energy = (z.diff(dim=0).square().sum((1, 2)) / t.diff().abs()).sum()
    least = (z[-1] - z[0]).square().sum() / (t[-1] - t[0]).abs()
    return energy / least - 1
