"""How images are dealt out to train, val and test, once and for all."""

__all__ = ["SPLITS", "deal", "share_out", "split_size"]

from collections.abc import Mapping

import torch
from torch import Tensor

from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def deal(labels: Tensor, sizes: list[int], seed: int) -> list[Tensor]:
    """Deals the images out to disjoint parts, in each of which every class has its share.

    The k-th image of a class with n images, in random order, is given the key (k + u) / n with u uniform in [0, 1).
    Sorted by their keys the images are evenly mixed, so that any run of them holds every class in proportion, give or
    take one image. The parts are such runs, each shuffled, so that the first images of a part represent it too.

    Arguments:
        labels: Each image's class, int64 [N]; all zero when there are no classes.
        sizes: The sizes of the parts but for the last, which takes the rest.
        seed: Fixes the split.

    Returns:
        The images of each part, int64, disjoint, together all of 0 … N − 1.
    """
    size = len(labels)
    assert sum(sizes) <= size
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(size, generator=generator)
    order = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    counts = counts[counts > 0]
    rank = torch.arange(size) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    noise = torch.rand(size, generator=generator, dtype=torch.float64)
    mixed = order[((rank + noise) / counts.repeat_interleave(counts)).argsort(stable=True)]
    parts = torch.split(mixed, [*sizes, size - sum(sizes)])
    return [part[torch.randperm(len(part), generator=generator)] for part in parts]


def split_size(size: int | float, total: int, key: str, taken: int = 0) -> int:
    """Turns a split's size as the user gives it, a count or a fraction below 1, into a count.

    Arguments:
        size: The user's value.
        total: The number of images there are.
        key: The name of the setting, for the message.
        taken: How many of the images are another split's already.

    Raises:
        UserError: If it is negative or takes every image that is left.
    """
    fraction = isinstance(size, float) and size < 1
    count = round(size * total) if fraction else int(size)
    if size < 0 or (count != size and not fraction):
        raise UserError(f"{key} is {size}; it must be a number of images, or a fraction of them from 0 to below 1")
    if count >= total - taken:
        raise UserError(f"{key} is {size}, but there are only {total - taken} images and some must be left to train on")
    return count


def share_out(
    found: Mapping[str, Tensor],
    val_size: int | float,
    test_size: int | float,
    seed: int,
    groups: Tensor | None = None,
) -> dict[str, tuple[str, list[int]]]:
    """Takes the splits that have no images of their own from the training images, by seed.

    Arguments:
        found: The labels of each split's own images, int64 [N], all zero when there are no classes; ``train`` is among
            them.
        val_size: Validation images, a number or a fraction, if there are no others.
        test_size: Test images, likewise.
        seed: Fixes the splits and the order within each: shuffled, so that its first images represent it.
        groups: The group of each training image, int64 [N]. The images of one stay together, and sizes are of groups.

    Returns:
        For each split whose images it has, and which of them, in their order.

    Raises:
        UserError: If a size leaves nothing to train on.
    """
    absent = [split for split in ("test", "val") if split not in found]
    labels = found["train"]
    if groups is not None:
        # Each group by its first image.
        groups = groups.unique(return_inverse=True)[1]
        first = torch.full((int(groups.max()) + 1,), len(groups)).scatter_reduce(
            0, groups, torch.arange(len(groups)), "amin"
        )
        labels = labels[first]
    total, sizes = len(labels), list[int]()
    for split in absent:
        wanted = val_size if split == "val" else test_size
        sizes.append(split_size(wanted, total, f"--data.{split}_size", taken=sum(sizes)))
    dealt = deal(labels, sizes, seed)
    if groups is not None:
        dealt = [torch.isin(groups, part).nonzero().flatten() for part in dealt]
        dealt = [part[deal(found["train"][part], [], seed)[0]] for part in dealt]
    shares = {split: ("train", part.tolist()) for split, part in zip([*absent, "train"], dealt, strict=True)}
    for split in found.keys() - {"train"}:
        shares[split] = (split, deal(found[split], [], seed)[0].tolist())
    return shares
