"""Convolutions that see rows above, and their step form: a row of an image at a time."""

__all__ = ["DownwardCache", "DownwardConvolution"]

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class DownwardConvolution(nn.Module):
    r"""Creates a convolution whose kernel reaches to both sides and up, but not down.

    With maps that know of an image what is above their row, it makes such maps.

    References:
        | Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), section 2.2: vertical stack
        | https://arxiv.org/abs/1606.05328

    Arguments:
        in_features: The maps that come in.
        out_features: The maps that go out.
        above: The rows of the kernel above the pixel's own.
        side: Its columns to the left and to the right.
        strict: Whether it leaves out the pixel's own row, as a network's first layer must.
        stride: How many rows and columns become one.
    """

    def __init__(
        self, in_features: int, out_features: int, above: int, side: int, strict: bool = False, stride: int = 1
    ) -> None:
        super().__init__()
        self.above, self.side, self.strict, self.stride = above, side, strict, stride
        self.in_features = in_features
        plain = nn.Conv2d(in_features, out_features, (above + (not strict), 2 * side + 1))
        assert plain.bias is not None
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, in_features, H, W] to [B, out_features, ⌈H/stride⌉, ⌈W/stride⌉]."""
        x = pad(x, (self.side, self.side, self.above, -1 if self.strict else 0))
        return conv2d(x, self.weight, self.bias, self.stride)


class DownwardCache:
    """Creates such a convolution's cache of the rows above.

    Arguments:
        convolution: The convolution; its weights are read now.
        num: The number of images B.
        width: The width W of what comes in.
    """

    def __init__(self, convolution: DownwardConvolution, num: int, width: int) -> None:
        weight = convolution.weight.detach()
        self._weight, self._bias, self._stride = weight, convolution.bias.detach(), (1, convolution.stride)
        self._side, self._width = convolution.side, width
        self._rows = weight.new_zeros(num, weight.shape[1], weight.shape[2], width + 2 * convolution.side)

    def write(self, row: Tensor) -> None:
        """Takes in the next row, [B, in_features, W]."""
        self._rows = self._rows.roll(-1, 2)
        self._rows[:, :, -1, self._side : self._side + self._width] = row

    def read(self) -> Tensor:
        """Returns what the convolution makes of the last rows, [B, out_features, ⌈W/stride⌉]."""
        return conv2d(self._rows, self._weight, self._bias, self._stride).squeeze(2)

    def step(self, row: Tensor) -> Tensor:
        """Takes in and returns."""
        self.write(row)
        return self.read()
