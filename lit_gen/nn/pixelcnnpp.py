"""PixelCNN++: shifted convolutions at several resolutions, with skips between those on the way down and up."""

__all__ = ["PixelCNNPP"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from lit_gen.contracts import Shape
from lit_gen.nn.causal_convolution import CausalConvolution
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.downward_convolution import DownwardCache, DownwardConvolution
from lit_gen.nn.pixelcnnpp_blocks import GatedBlock, Upsampling
from lit_gen.nn.pixelcnnpp_steps import PositionBlock, PositionUpsampling, RowBlock
from lit_gen.nn.raster_stepper import RasterStepper
from lit_gen.nn.row_cache import RowCache
from lit_gen.nn.weight_norm import normalised


class PixelCNNPP(CausalNetwork):
    r"""Creates the network of PixelCNN++.

    One stream of maps sees the rows above, the other what is above and to the left, and the first. Both are halved in
    size from one resolution to the next, and doubled again; each block on the way up sees the maps of one on the way
    down. A pixel's channels are drawn at once (`LogisticMixturePixels`), or there is but one. Weights are normalised,
    and start from the first batch of training; see `lit_gen.nn.weight_norm`.

    References:
        | PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other Modifications
          (Salimans, Karpathy, Chen & Kingma, 2017), figure 2
        | https://arxiv.org/abs/1701.05517

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in: 1.
        num_classes: The number of classes, None without labels. A class adds a bias in every block.
        features: The maps F of each stream.
        blocks: The residual blocks at each resolution on the way down, and up; there is one more on the way up at all
            resolutions but the lowest.
        resolutions: The number of resolutions.
        dropout: The probability of dropout within blocks.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        features: int = 160,
        blocks: int = 5,
        resolutions: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(input_shape, num_outputs, groups)
        if groups != 1:
            raise ValueError("PixelCNNPP draws all channels at once, as LogisticMixturePixels says")
        if resolutions < 1 or blocks < 1:
            raise ValueError(f"resolutions are {resolutions} and blocks {blocks}; both must be at least 1")
        planes, height, width = input_shape
        self.sizes = [(-(-height // 2**r), -(-width // 2**r)) for r in range(resolutions)]
        # A plane of ones tells zeros of images from what is beyond their edges.
        self.first_v = normalised(DownwardConvolution(planes + 1, features, 2, 1, strict=True))
        self.first_h = normalised(CausalConvolution(planes + 1, features, 1, 1, 1, strict=True))

        def stage(number: int, downward: bool, beside: int) -> nn.ModuleList:
            made = (GatedBlock(features, downward, beside, num_classes, dropout) for _ in range(number))
            return nn.ModuleList(made)

        # By resolution; the blocks on the way up each have a skip beside them.
        ups = [blocks + (r < resolutions - 1) for r in range(resolutions)]
        self.down_v = nn.ModuleList(stage(blocks, True, 0) for _ in range(resolutions))
        self.down_h = nn.ModuleList(stage(blocks, False, 1) for _ in range(resolutions))
        self.up_v = nn.ModuleList(stage(number, True, 1) for number in ups)
        self.up_h = nn.ModuleList(stage(number, False, 2) for number in ups)
        lower = range(resolutions - 1)
        self.halve_v = nn.ModuleList(normalised(DownwardConvolution(features, features, 1, 1, stride=2)) for _ in lower)
        self.halve_h = nn.ModuleList(normalised(CausalConvolution(features, features, 1, 1, stride=2)) for _ in lower)
        self.double_v = nn.ModuleList(normalised(Upsampling(features, 1), dim=1) for _ in lower)
        self.double_h = nn.ModuleList(normalised(Upsampling(features, 0), dim=1) for _ in lower)
        self.head = normalised(CausalConvolution(features, num_outputs))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        v, h = self.first_v(x), self.first_h(x)
        skips = [(v, h)]
        for r in range(len(self.sizes)):
            if r > 0:
                v, h = self.halve_v[r - 1](v), self.halve_h[r - 1](h)
                skips.append((v, h))
            for block_v, block_h in zip(self.down_v[r], self.down_h[r], strict=True):  # type: ignore[call-overload]
                v = block_v(v, label=label)
                h = block_h(h, v, label=label)
                skips.append((v, h))
        v, h = skips.pop()
        for r in reversed(range(len(self.sizes))):
            if r < len(self.sizes) - 1:
                v, h = self.double_v[r](v, self.sizes[r]), self.double_h[r](h, self.sizes[r])
            for block_v, block_h in zip(self.up_v[r], self.up_h[r], strict=True):  # type: ignore[call-overload]
                skip_v, skip_h = skips.pop()
                v = block_v(v, skip_v, label=label)
                h = block_h(h, v, skip_h, label=label)
        assert not skips
        return self.head(elu(h))

    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        return _PixelCNNPPStepper(self, num, label)


def _by_width(stages: nn.ModuleList, widths: Sequence[int]) -> list[tuple[list[GatedBlock], int]]:
    """Returns the blocks of each resolution, and its width."""
    return [(list(stage), width) for stage, width in zip(stages, widths, strict=True)]  # type: ignore[call-overload]


class _PixelCNNPPStepper(RasterStepper):
    """The stream of rows is computed row by row, the other position by position; lower resolutions where they change.

    Row i and column j at resolution r stand for rows i·2^r and columns j·2^r and what follows them.
    """

    @torch.no_grad()
    def __init__(self, network: PixelCNNPP, num: int, label: Tensor | None) -> None:
        super().__init__(network)
        (planes, _, width), widths = network.input_shape, [size[1] for size in network.sizes]
        self._lowest, self._widths = len(widths) - 1, widths
        self._first_v = DownwardCache(network.first_v, num, width)
        self._first_h = RowCache(network.first_h, num, width)
        self._down_v, self._up_v = (
            [[RowBlock(block, num, w, label) for block in blocks] for blocks, w in _by_width(stages, widths)]
            for stages in (network.down_v, network.up_v)
        )
        self._down_h, self._up_h = (
            [[PositionBlock(block, num, w, label) for block in blocks] for blocks, w in _by_width(stages, widths)]
            for stages in (network.down_h, network.up_h)
        )
        pairs = range(self._lowest)
        self._halve_v = [DownwardCache(network.halve_v[r], num, widths[r]) for r in pairs]  # type: ignore[arg-type]
        self._halve_h = [RowCache(network.halve_h[r], num, widths[r]) for r in pairs]  # type: ignore[arg-type]
        self._double_v = list(network.double_v)
        self._double_h = [PositionUpsampling(layer) for layer in network.double_h]  # type: ignore[arg-type]
        # By resolution: the two rows that the last row below became.
        self._doubled_v: list[Tensor | None] = [None] * self._lowest
        self._doubled_h: list[list[list[Tensor | None]]] = [[[None] * 2 * w for _ in range(2)] for w in widths[1:]]
        self._head = RowCache(network.head, num, width)
        # The row that was drawn last, with its plane of ones; above the image there are none.
        some = next(network.parameters())
        self._drawn, self._one = some.new_zeros(num, planes + 1, width), some.new_ones(num, 1)
        self._begin_row(0)

    def _active(self, *places: int) -> int:
        """Returns how many resolutions have a row, or a position, that starts here."""
        return next((r for r in range(1, self._lowest + 1) if any(n % 2**r for n in places)), self._lowest + 1)

    def _begin_row(self, row: int) -> None:
        v, active = self._first_v.step(self._drawn), self._active(row)
        self._first_h.begin_row()
        skips = [v]
        for r in range(active):
            if r > 0:
                v = self._halve_v[r - 1].read()
                skips.append(v)
            for block_v, block_h in zip(self._down_v[r], self._down_h[r], strict=True):
                v = block_v.step(v)
                block_h.begin_row(v)
                skips.append(v)
            if r < self._lowest:
                self._halve_v[r].write(v)
                self._halve_h[r].begin_row()
        for r in reversed(range(active)):
            v = skips.pop() if r == self._lowest else self._doubled_v[r][:, :, row >> r & 1]  # type: ignore[index]
            for block_v, block_h in zip(self._up_v[r], self._up_h[r], strict=True):
                v = block_v.step(v, skips.pop())
                block_h.begin_row(v)
            if r > 0:
                self._doubled_v[r - 1] = self._double_v[r - 1](v[:, :, None], (2, self._widths[r - 1]))
        assert not skips

    def numbers(self, row: int, column: int, group: int) -> Tensor:
        h, active = self._first_h.read(column, 0), self._active(row, column)
        skips = [h]
        for r in range(active):
            if r > 0:
                h = self._halve_h[r - 1].read(column >> (r - 1), 0)
                skips.append(h)
            for block in self._down_h[r]:
                h = block.step(column >> r, h)
                skips.append(h)
            if r < self._lowest:
                self._halve_h[r].write(column >> r, 0, h)
        for r in reversed(range(active)):
            h = skips.pop() if r == self._lowest else self._doubled_h[r][row >> r & 1][column >> r]  # type: ignore[assignment]
            for block in self._up_h[r]:
                h = block.step(column >> r, h, skips.pop())
            if r > 0:
                for rows, values in zip(self._doubled_h[r - 1], self._double_h[r - 1].step(h), strict=True):
                    rows[2 * (column >> r) : 2 * (column >> r) + 2] = values
        return self._head.step(column, 0, elu(h))

    def take(self, row: int, column: int, group: int, planes: Tensor) -> None:
        with_one = torch.cat([planes, self._one], dim=1)
        self._first_h.write(column, 0, with_one)
        self._drawn[:, :, column] = with_one

    def end_row(self, row: int) -> None:
        self._first_h.end_row()
        for r in range(self._active(row)):
            for block in (*self._down_h[r], *self._up_h[r]):
                block.end_row()
            if r < self._lowest:
                self._halve_h[r].end_row()
        self._begin_row(row + 1)
