"""Nearest neighbours among any number of points, of which one block is in memory at a time."""

__all__ = ["nearest", "neighbour_distances"]

from collections.abc import Iterable

import torch
from torch import Tensor

from lit_gen.functional.distances import block_length, paired_distances, rounding, squared_distances

_MARGIN = 2  # candidates beyond those asked for, lest rounding should decide


def nearest(points: Tensor, chunks: Iterable[Tensor], num: int) -> tuple[Tensor, Tensor]:
    """Finds the nearest neighbours of points among others that come in chunks.

    Arguments:
        points: Shape [N, D].
        chunks: The others, one after the other, shape [M, D] each.
        num: The number of neighbours K; there must be as many others.

    Returns:
        Euclidean distances, float64, ascending, and the neighbours' places among all others, both [N, K].
    """
    points = points.to(torch.float64)
    squared = points.new_full((len(points), num), torch.inf)
    indices = torch.full((len(points), num), -1, dtype=torch.int64, device=points.device)
    start = 0
    for chunk in chunks:
        # By a matrix product, which is many times as fast, but does not give 0 for a copy: the few that come out
        # nearest, a little more than are asked for, are then measured by their differences.
        rough, candidates = squared_distances(points, chunk).topk(min(num + _MARGIN, len(chunk)), largest=False)
        error, farthest = rounding(points, chunk), squared[:, -1:]
        if rough.shape[1] >= num:
            farthest = torch.minimum(farthest, rough[:, num - 1 : num] + error)
        rows, columns = (rough <= farthest + error).nonzero(as_tuple=True)
        here = torch.full_like(rough, torch.inf)
        if len(rows):
            here[rows, columns] = paired_distances(points, chunk, rows, candidates[rows, columns])
        both = torch.cat([squared, here], dim=1), torch.cat([indices, start + candidates], dim=1)
        squared, chosen = both[0].topk(num, dim=1, largest=False)
        indices = both[1].gather(1, chosen)
        start += len(chunk)
    assert start >= num, "there are as many others as neighbours are asked for"
    return squared.sqrt(), indices


def neighbour_distances(x: Tensor, neighbours: int) -> Tensor:
    """Returns the distance of each point to its k-th nearest other point of the sample, float64, shape [N].

    A copy counts as another point, at distance 0.

    Arguments:
        x: Points, shape [N, D], N > k.
        neighbours: The number k.
    """
    assert len(x) > neighbours, "there are fewer other points than neighbours"
    size = block_length(x.shape[1])
    # The nearest is the point itself.
    return torch.cat([nearest(part, x.split(size), neighbours + 1)[0][:, -1] for part in x.split(size)])
