"""Augmentation on the device, drawn from a hash of (seed, epoch, index) and from nothing else."""

__all__ = ["random_flip", "uniform_hash"]

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


def random_flip(image: Tensor, seed: int, epoch: Tensor, index: Tensor) -> Tensor:
    """Mirrors each image left to right with probability 1/2.

    Arguments:
        image: Shape [B, C, H, W], any type.
        seed: Seeds the draw, together with epoch and index.
        epoch: The epoch that each image is drawn in, int64 [B].
        index: Each image's place in its split, int64 [B].
    """
    flip = uniform_hash(seed, epoch, index) < 0.5
    return torch.where(flip[:, None, None, None], image.flip(-1), image)


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
