"""Augmentation on the device, drawn from a hash of (seed, epoch, index) and from nothing else."""

__all__ = ["random_crop", "random_flip", "uniform_hash"]

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15  # 2⁶⁴ / golden ratio, SplitMix64's increment


def uniform_hash(seed: int, epoch: Tensor, index: Tensor) -> Tensor:
    """Hashes (seed, epoch, index) to a number that looks uniform in [0, 1).

    There is no state: an image's number does not depend on its batch, its rank, its device or the images before it, so
    a resumed run, or one on more processes, draws the same numbers.

    References:
        Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators. 2014.

    Arguments:
        seed: Any integer.
        epoch: int64, any shape.
        index: int64, of the same shape.

    Returns:
        float32 of the same shape, a multiple of 2⁻²⁴.
    """
    key = torch.full_like(index, _signed(seed * _GAMMA))
    for value in (epoch, index):
        key = _mix(key + value + _signed(_GAMMA))
    return _shift(key, 40).to(torch.float32) * 2.0**-24


def random_flip(image: Tensor, seed: int, epoch: Tensor, index: Tensor, stream: int = 0) -> Tensor:
    """Mirrors each image left to right with probability 1/2.

    Arguments:
        image: Shape [B, …, W], any type.
        seed: Seeds the draw, together with epoch and index.
        epoch: The epoch that each image is drawn in, int64 [B].
        index: Each image's place in its split, int64 [B].
        stream: Images of the same place in another stream are drawn for anew.
    """
    flip = uniform_hash(seed, _numbered(epoch, 3 * stream), index) < 0.5
    return torch.where(flip.reshape(-1, *[1] * (image.ndim - 1)), image.flip(-1), image)


def random_crop(
    image: Tensor, size: tuple[int, int], seed: int, epoch: Tensor, index: Tensor, stream: int = 0
) -> Tensor:
    """Cuts a box out of each image, every place of which is as likely as any other.

    Arguments:
        image: Shape [B, H, W] or [B, C, H, W], any type.
        size: The height h ≤ H and width w ≤ W of the box.
        seed, epoch, index, stream: See `random_flip`, whose draws do not depend on these.

    Returns:
        Shape [B, h, w] or [B, C, h, w].
    """
    boxes = []
    for number, (inner, outer) in enumerate(zip(size, image.shape[-2:], strict=True), start=1):
        assert inner <= outer, f"{tuple(image.shape[-2:])} is no room for {size}"
        u = uniform_hash(seed, _numbered(epoch, 3 * stream + number), index)
        boxes.append((u * (outer - inner + 1)).long()[:, None] + torch.arange(inner, device=image.device))
    rows, columns = boxes
    image = image.gather(-2, _expanded(rows[:, :, None], image, (size[0], image.shape[-1])))
    return image.gather(-1, _expanded(columns[:, None, :], image, size))


def _expanded(places: Tensor, image: Tensor, size: tuple[int, int]) -> Tensor:
    shape = (*image.shape[:-2], *size)
    return places.reshape(len(places), *[1] * (image.ndim - 3), *places.shape[1:]).expand(shape)


def _numbered(epoch: Tensor, number: int) -> Tensor:
    """Makes several draws of an epoch: no run has 2⁴⁰ of these."""
    return epoch + (number << 40)


def _mix(key: Tensor) -> Tensor:
    """SplitMix64's finaliser, a bijection of 64-bit integers; int64 products wrap as the algorithm wants."""
    key = (key ^ _shift(key, 30)) * _signed(0xBF58476D1CE4E5B9)
    key = (key ^ _shift(key, 27)) * _signed(0x94D049BB133111EB)
    return key ^ _shift(key, 31)


def _shift(key: Tensor, bits: int) -> Tensor:
    """Shifts right filling with zeros; torch's own shift copies the sign bit."""
    return (key >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    """Reads the low 64 bits of an integer as a signed number, which is what int64 tensors take."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
