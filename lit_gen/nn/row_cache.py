"""What a causal convolution keeps while an image is drawn: the rows above, and its own row so far."""

__all__ = ["RowCache"]

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from lit_gen.nn.causal_convolution import CausalConvolution


class RowCache:
    """Creates a convolution's cache, with which a position costs one product of a matrix.

    What the rows above contribute is convolved once for a whole row; what is left of a position is a stretch of memory
    that the row's own weights multiply. Positions come by rows, each from the left. Of a convolution with a stride, the
    output is at those positions that it skips to.

    Arguments:
        convolution: The convolution; its weights are read now.
        num: The number of images B.
        width: Their width W.
    """

    def __init__(self, convolution: CausalConvolution, num: int, width: int) -> None:
        above, left, right = convolution.above, convolution.left, convolution.right
        weight, self._bias = convolution.masked_weight().detach(), convolution.bias.detach()
        self._left, self._width, self._slices = left, width, convolution.out_slices
        self._alone = not above and not left and len(self._slices) == 1
        own = weight[:, :, above, : left + 1].permute(2, 1, 0).flatten(0, 1)
        self._own = [own[:, outputs].contiguous() for outputs in self._slices]
        # Images side by side, columns one after the other, so that neighbours in a row are one stretch of memory. What
        # it holds of positions that have not come yet is finite, and multiplied by weights that are 0.
        features = convolution.in_features
        self._row = weight.new_zeros(num, left + width, features)
        size = (left + 1) * features
        self._patches = [self._row[:, j : j + left + 1].view(num, size) for j in range(width)]
        self._places = [[self._row[:, left + j, inputs] for j in range(width)] for inputs in convolution.in_slices]
        self._over = weight[:, :, :above]
        self._rows = weight.new_zeros(num, features, above, left + width + right)
        self.begin_row()

    def write(self, column: int, group: int, x: Tensor) -> None:
        """Takes in the maps of one group at a position, [B, group's in_features]."""
        self._places[group][column].copy_(x)

    def read(self, column: int, group: int) -> Tensor:
        """Returns the maps that the convolution makes there, [B, group's out_features]."""
        return torch.addmm(self._above[group][column], self._patches[column], self._own[group])

    def step(self, column: int, group: int, x: Tensor) -> Tensor:
        """Takes in and returns."""
        if self._alone:  # nothing is needed again
            return torch.addmm(self._above[0][column], x, self._own[0])
        self.write(column, group, x)
        return self.read(column, group)

    def end_row(self) -> None:
        """Makes the row, which is complete, one of the rows above."""
        if self._rows.shape[2]:
            self._rows = self._rows.roll(-1, 2)
            self._rows[:, :, -1, self._left : self._left + self._width] = self._row[:, self._left :].transpose(1, 2)

    def begin_row(self, more: Tensor | None = None) -> None:
        """Convolves the rows above.

        Arguments:
            more: What is to be added to the convolution's maps in the row that begins, [B, out_features, W].
        """
        above = self._bias[:, None].expand(-1, self._width)[None]
        if self._rows.shape[2]:
            above = conv2d(self._rows, self._over, self._bias).squeeze(2)
        if more is not None:
            above = above + more
        above = above.transpose(1, 2).expand(len(self._row), -1, -1).contiguous()
        self._above = [[above[:, j, outputs] for j in range(self._width)] for outputs in self._slices]
