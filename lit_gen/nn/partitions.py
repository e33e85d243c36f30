"""Which numbers a coupling keeps, and which it changes."""

__all__ = ["Checkerboard", "Halves", "Parity", "Partition"]

import abc

import torch
from torch import Tensor, nn


class Partition(nn.Module, abc.ABC):
    """Parts numbers into those that are kept, on which a coupling's network depends, and those that are moved.

    Attributes:
        kept: The channels of the kept part.
        moved: The channels of the moved one.
    """

    kept: int
    moved: int

    @abc.abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the kept part [B, kept, …] and the moved one [B, moved, …]."""

    @abc.abstractmethod
    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        """Undoes `split`."""

    @abc.abstractmethod
    def counted(self, values: Tensor) -> Tensor:
        """Sets to 0 what belongs to no number that is moved, in values [B, moved, …]."""


class Halves(Partition):
    """Creates the partition of maps into the upper and the lower half of their channels.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 3.4: channel-wise masks
        | https://arxiv.org/abs/1605.08803

    Arguments:
        channels: The channels C, at least 2.
        flip: Whether the first half is moved rather than the second.
    """

    def __init__(self, channels: int, flip: bool = False) -> None:
        super().__init__()
        assert channels > 1, "a half needs a channel"
        self.flip = flip
        self._sizes = [channels - channels // 2, channels // 2]
        self.kept, self.moved = reversed(self._sizes) if flip else self._sizes

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.split(self._sizes, dim=1)
        return (second, first) if self.flip else (first, second)

    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.flip else [kept, moved], dim=1)

    def counted(self, values: Tensor) -> Tensor:
        return values


class Checkerboard(Partition):
    """Creates the partition of maps into black and white pixels; both parts are maps of full size.

    References:
        | Density Estimation Using Real NVP (Dinh, Sohl-Dickstein & Bengio, 2017), section 3.4: checkerboard masks
        | https://arxiv.org/abs/1605.08803

    Arguments:
        shape: The maps' channels, height and width.
        flip: Whether the colour of the upper left pixel is moved rather than kept.
    """

    mask: Tensor

    def __init__(self, shape: tuple[int, int, int], flip: bool = False) -> None:
        super().__init__()
        channels, height, width = shape
        self.kept = self.moved = channels
        colour = (torch.arange(height)[:, None] + torch.arange(width)) % 2
        self.register_buffer("mask", (colour == int(flip)).float(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.mask, x

    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        return kept + moved * (1 - self.mask)

    def counted(self, values: Tensor) -> Tensor:
        return values * (1 - self.mask)


class Parity(Partition):
    """Creates the partition of vectors into their even and their odd places.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), section 5.1
        | https://arxiv.org/abs/1410.8516

    Arguments:
        size: The numbers of a vector, at least 2.
        flip: Whether the even places (0, 2, …) are moved rather than the odd ones.
    """

    order: Tensor

    def __init__(self, size: int, flip: bool = False) -> None:
        super().__init__()
        assert size > 1, "each part needs a number"
        self.flip = int(flip)
        places = torch.arange(size)
        apart = torch.cat([places[self.flip :: 2], places[1 - self.flip :: 2]])
        self.kept, self.moved = len(places[self.flip :: 2]), len(places[1 - self.flip :: 2])
        self.register_buffer("order", apart.argsort(), persistent=False)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, self.flip :: 2], x[:, 1 - self.flip :: 2]

    def merge(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([kept, moved], dim=1)[:, self.order]

    def counted(self, values: Tensor) -> Tensor:
        return values
