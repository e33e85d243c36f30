"""A process's share of a split, or of evenly spaced images of it."""

__all__ = ["labelled_batches", "on_device", "positions", "split_batches", "split_share"]

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lit_gen.contracts import Batch, ImageData
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.distributed import rank, world_size


def positions(num: int, count: int) -> Tensor:
    """Returns which of a split's images stand for it: ``count`` of ``num``, evenly spaced, int64 [count].

    Evenly spaced, because splits are often sorted: by class, or like MNIST's test images by their writers' neatness.
    """
    assert 0 < count <= num, "a part of the split is asked for"
    return torch.arange(count) * num // count


def split_share(data: ImageData, split: str, batch_size: int, count: int) -> Iterator[tuple[Tensor, Batch]]:
    """Iterates over this process's share of a split: what is taken of every so many-th batch.

    Images that lie far apart are put together to whole batches, but for the last: networks would see one at a time.

    Arguments:
        data: The images.
        split: ``"train"``, ``"val"`` or ``"test"``.
        batch_size: The number of images in a batch.
        count: How many of the images are taken, evenly spaced.

    Yields:
        The images' places in the split, int64 [N] with 1 ≤ N ≤ `batch_size`, and batches of what the data yield.
    """
    wanted = torch.zeros(data.num_images(split), dtype=torch.bool)
    wanted[positions(len(wanted), count)] = True
    start, held = 0, 0
    waiting: list[tuple[Tensor, Batch]] = []
    for number, batch in enumerate(data.batches(split, batch_size)):
        place = torch.arange(start, start + len(batch["image"]))
        start += len(place)
        taken = wanted[place]
        if number % world_size() != rank() or not taken.any():
            continue
        waiting.append((place[taken], {name: value[taken.to(value.device)] for name, value in batch.items()}))
        held += len(waiting[-1][0])
        if held >= batch_size:
            places, values = _together(waiting)
            yield places[:batch_size], {name: value[:batch_size] for name, value in values.items()}
            held -= batch_size
            rest = (places[batch_size:], {name: value[batch_size:] for name, value in values.items()})
            waiting = [rest] if held else []
    if held:
        yield _together(waiting)


def _together(parts: Sequence[tuple[Tensor, Batch]]) -> tuple[Tensor, Batch]:
    """Joins places and batches; a single part, which is the rule where all images are taken, is not copied."""
    if len(parts) == 1:
        return parts[0]
    joined = {name: torch.cat([batch[name] for _, batch in parts]) for name in parts[0][1]}
    return torch.cat([place for place, _ in parts]), joined


def on_device(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """Moves a batch to a device, where its images, uint8 [N, C, H, W], become float32 in [−1, 1]."""
    moved = {name: value.to(device) for name, value in batch.items()}
    images = {
        name: from_uint8(value) for name, value in moved.items() if value.dtype == torch.uint8 and value.ndim == 4
    }
    return moved | images


def split_batches(
    data: ImageData, split: str, batch_size: int = 256, count: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterates over this process's share of a split, for the reference itself and for scores of real against real.

    Arguments:
        data: The images.
        split: ``"train"``, ``"val"`` or ``"test"``.
        batch_size: The number of images in a batch.
        count: How many of the images to take, evenly spaced; all by default.

    Yields:
        The images' running numbers among all that are taken, int64 [N], and the images, uint8 [N, C, H, W].
    """
    for index, image, _ in labelled_batches(data, split, batch_size, count):
        yield index, image


def labelled_batches(
    data: ImageData, split: str, batch_size: int = 256, count: int | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Iterates like `split_batches`, over triples: the third is the images' classes, int64 [N], None without labels."""
    num = data.num_images(split)
    chosen = positions(num, count or num)
    for place, batch in split_share(data, split, batch_size, count or num):
        yield torch.searchsorted(chosen, place), batch["image"], batch.get("label")
