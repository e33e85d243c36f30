"""Blocks of PixelCNN++ in step form: of the one stream a row at a time, of the other a position at a time."""

__all__ = ["PositionBlock", "PositionUpsampling", "RowBlock"]

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d

from lit_gen.nn.downward_convolution import DownwardCache
from lit_gen.nn.pixelcnnpp_blocks import GatedBlock, Upsampling, concat_elu, gated_sum
from lit_gen.nn.row_cache import RowCache


class RowBlock:
    """Creates the step form of a block that sees rows above.

    Arguments:
        block: The block; its weights are read now, here as below.
        num: The number of images B.
        width: The width W of its maps.
        label: Class labels, shape [B], for conditional networks.
    """

    def __init__(self, block: GatedBlock, num: int, width: int, label: Tensor | None) -> None:
        self._first = DownwardCache(block.first, num, width)  # type: ignore[arg-type]
        self._second = DownwardCache(block.second, num, width)  # type: ignore[arg-type]
        self._beside = [_read(layer) for layer in block.beside]
        self._class = _class_maps(block, label)

    def step(self, x: Tensor, *beside: Tensor) -> Tensor:
        """Maps a row of x and of the maps beside it, [B, F, W] each, to [B, F, W]."""
        h = self._first.step(concat_elu(x))
        for (weight, bias), other in zip(self._beside, beside, strict=True):
            h = h + conv1d(concat_elu(other), weight, bias)
        h = self._second.step(concat_elu(h))
        return gated_sum(x, h if self._class is None else h + self._class)


class PositionBlock:
    """Creates the step form of a block that sees what is above and to the left.

    The first of the maps beside it are those of the other stream, known for a whole row; further ones come with x.
    """

    def __init__(self, block: GatedBlock, num: int, width: int, label: Tensor | None) -> None:
        self._first = RowCache(block.first, num, width)  # type: ignore[arg-type]
        self._second = RowCache(block.second, num, width)  # type: ignore[arg-type]
        (self._weight, self._bias), *rest = [_read(layer) for layer in block.beside]
        self._skips = [weight.squeeze(2).t().contiguous() for weight, _ in rest]
        for _, bias in rest:
            self._bias = self._bias + bias
        self._class = _class_maps(block, label)

    def begin_row(self, other: Tensor) -> None:
        """Takes in the other stream's maps of the row that begins, [B, F, W]."""
        self._first.begin_row(conv1d(concat_elu(other), self._weight, self._bias))
        self._second.begin_row(self._class)

    def step(self, column: int, x: Tensor, *skips: Tensor) -> Tensor:
        """Maps x and the maps of skips at a position, [B, F] each, to [B, F]."""
        h = self._first.step(column, 0, concat_elu(x))
        for weight, skip in zip(self._skips, skips, strict=True):
            h = torch.addmm(h, concat_elu(skip), weight)
        return gated_sum(x, self._second.step(column, 0, concat_elu(h)))

    def end_row(self) -> None:
        """Makes the row, which is complete, one of the rows above."""
        self._first.end_row()
        self._second.end_row()


class PositionUpsampling:
    """Creates the step form of `Upsampling` that sees nothing to the sides: a position becomes four."""

    def __init__(self, layer: Upsampling) -> None:
        assert not layer.side
        self._weight = layer.weight.detach().permute(0, 2, 3, 1).flatten(1).contiguous()
        self._bias = layer.bias.detach().repeat(4)

    def step(self, x: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Maps [B, F] to maps [B, F] of two rows and two columns."""
        y = torch.addmm(self._bias, x, self._weight).unflatten(1, (2, 2, -1))
        return tuple(row.unbind(1) for row in y.unbind(1))


def _read(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Returns the weights [out, in, 1] and the bias of a 1×1 convolution."""
    return layer.weight.detach().squeeze(3), layer.bias.detach()  # type: ignore[operator, union-attr, return-value]


def _class_maps(block: GatedBlock, label: Tensor | None) -> Tensor | None:
    return None if block.embedding is None else block.embedding(label).detach()[:, :, None]
