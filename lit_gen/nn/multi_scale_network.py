r"""Images drawn from coarse to fine: first a small image, every s-th pixel of every s-th row, then the pixels between.

With z the small image, whose pixels are the image's own, and x_i the others by rows,

.. math:: p(x) = \prod_j p(z_j | z_1, …, z_{j-1}) \prod_i p(x_i | x_1, …, x_{i-1}, z)
"""

__all__ = ["MultiScaleNetwork"]

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from lit_gen.contracts import Shape
from lit_gen.nn.causal_network import CausalNetwork, Stepper
from lit_gen.nn.context_network import ContextNetwork
from lit_gen.nn.factories import CausalNetworkFactory, ContextNetworkFactory


class MultiScaleNetwork(CausalNetwork):
    r"""Creates a network of two: one draws a small image, the other fills in the rest, of which it sees all.

    The small image is enlarged by convolutions to maps that are added in every layer of the other network. As published
    that one draws all pixels, those of the small image once more; here each pixel is drawn once, and p is exact. With
    such a network as the small one there are three scales.

    References:
        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 3.6 and figure 2
        | https://arxiv.org/abs/1601.06759

        | Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), equation (5)
        | https://arxiv.org/abs/1606.05328

    Arguments:
        input_shape: The number of planes, the height and the width.
        num_outputs: The numbers for each pixel.
        groups: The groups that a pixel is drawn in.
        num_classes: The number of classes, None without labels; both networks know the class.
        small: Makes the network that draws the small image.
        large: Makes the network that draws the others, told of the small image by its context.
        stride: The distance s of the small image's rows, and columns, at least 2.
        features: The maps c that the small image becomes.
        blocks: The residual blocks of two 3×3 convolutions that make them; together with the one before them they reach
            2·blocks + 1 pixels of the small image far.
    """

    def __init__(
        self,
        input_shape: Shape,
        num_outputs: int,
        groups: int,
        num_classes: int | None = None,
        *,
        small: CausalNetworkFactory,
        large: ContextNetworkFactory,
        stride: int = 2,
        features: int = 32,
        blocks: int = 2,
    ) -> None:
        if stride < 2:
            raise ValueError(f"stride is {stride}, and must be at least 2")
        planes, height, width = input_shape
        small_shape = (planes, -(-height // stride), -(-width // stride))
        first = small(input_shape=small_shape, num_outputs=num_outputs, groups=groups, num_classes=num_classes)
        second = large(
            input_shape=input_shape,
            num_outputs=num_outputs,
            groups=groups,
            num_classes=num_classes,
            context_features=features,
        )
        between = [(i, j) for i, j in second.order if i % stride or j % stride]
        super().__init__(
            input_shape, num_outputs, groups, [*((stride * i, stride * j) for i, j in first.order), *between]
        )
        self.stride = stride
        self.small: CausalNetwork = first
        self.large: ContextNetwork = second
        self.enlarged = _Enlarged(planes, features, blocks, stride)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        s = self.stride
        z = x[:, :, ::s, ::s].contiguous()
        theta = self.large(x, label, self.context(z)).clone()
        theta[:, :, ::s, ::s] = self.small(z, label)
        return theta

    def context(self, z: Tensor) -> Tensor:
        """Maps a small image's planes [B, num_inputs, h, w] to what the large network is told, [B, c, H, W]."""
        _, height, width = self.input_shape
        maps: Tensor = self.enlarged(z)
        return maps[:, :, :height, :width]

    def stepper(self, num: int, label: Tensor | None = None) -> Stepper:
        return _MultiScaleStepper(self, num, label)


class _Enlarged(nn.Module):
    """A 3×3 convolution, x + 3×3(relu(3×3(relu(x)))) and a transposed convolution, each of whose pixels becomes s×s."""

    def __init__(self, planes: int, features: int, blocks: int, stride: int) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, out_channels=features, kernel_size=3, padding=1)
        self.first = conv(planes)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.ReLU(), conv(features), nn.ReLU(), conv(features)) for _ in range(blocks)
        )
        self.last = nn.ConvTranspose2d(features, features, stride, stride)

    def forward(self, z: Tensor) -> Tensor:
        """Maps [B, planes, h, w] to [B, features, s·h, s·w]."""
        h = self.first(z)
        for block in self.blocks:
            h = h + block(h)
        enlarged: Tensor = self.last(relu(h))
        return enlarged


class _MultiScaleStepper(Stepper):
    """The small network's stepper and, from the end of its order on, the large one's."""

    @torch.no_grad()
    def __init__(self, network: MultiScaleNetwork, num: int, label: Tensor | None) -> None:
        self._network, self._label = network, label
        self._small = next(network.parameters()).new_zeros(num, *network.small.input_shape)
        self._stepper, self._position = network.small.stepper(num, label), 0

    def theta(self) -> Tensor:
        return self._stepper.theta()

    @torch.no_grad()
    def put(self, planes: Tensor) -> None:
        self._stepper.put(planes)
        pixel, group = divmod(self._position, self._network.groups)
        order = self._network.small.order
        self._position += 1
        if pixel >= len(order):
            return
        row, column = order[pixel]
        self._small.unflatten(1, (self._network.groups, -1))[:, group, :, row, column] = planes
        if self._position == len(order) * self._network.groups:
            self._stepper = _BetweenStepper(self._network, self._small, self._label)


class _BetweenStepper(Stepper):
    """The large network's stepper, which is told the small image's pixels where they come."""

    def __init__(self, network: MultiScaleNetwork, small: Tensor, label: Tensor | None) -> None:
        self._stepper = network.large.stepper(len(small), label, network.context(small))
        self._small, self._stride = small.unflatten(1, (network.groups, -1)), network.stride
        self._pixels = iter(network.large.order)
        self._groups, self._left = network.groups, 0  # the groups of a pixel that are still to come

    @torch.no_grad()
    def theta(self) -> Tensor:
        if self._left == 0:
            self._begin_pixel()
        return self._stepper.theta()

    def put(self, planes: Tensor) -> None:
        self._stepper.put(planes)
        self._left -= 1

    def _begin_pixel(self) -> None:
        """Goes on to the next pixel that is not one of the small image."""
        for row, column in self._pixels:
            if row % self._stride or column % self._stride:
                self._left = self._groups
                return
            for group in range(self._groups):
                self._stepper.theta()
                self._stepper.put(self._small[:, group, :, row // self._stride, column // self._stride])
