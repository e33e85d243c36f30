r"""What carries 8-bit images, of which a density knows nothing, over to continuous numbers.

With noise u in [0, 1)^D from q(u | v), values v become :math:`y = (v + u) / 256`, and the density p of y bounds

.. math:: \log P(v) \ge E_q[\log p(y) - D \log 256 - \log q(u \mid v)]
"""

__all__ = ["Dequantisation", "NoDequantisation", "UniformDequantisation", "VariationalDequantisation"]

import abc
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lit_gen.contracts import Generators, Shape
from lit_gen.errors import UserError
from lit_gen.functional.base_distributions import StandardNormal
from lit_gen.functional.noise import rand
from lit_gen.nn.bijection import Bijection, Chain
from lit_gen.nn.coupling import Coupling
from lit_gen.nn.coupling_networks import ResidualNetwork
from lit_gen.nn.coupling_transforms import AffineTransform
from lit_gen.nn.partitions import Checkerboard

_LEVELS = 256


class Dequantisation(nn.Module, abc.ABC):
    """What makes a density's argument of images.

    Attributes:
        what: What the log-probabilities are of.
        is_random: Whether there is noise, so that these are bounds.
    """

    what: str = "8-bit images"
    is_random: bool = True

    @abc.abstractmethod
    def forward(self, image: Tensor, generator: Generators | None = None) -> tuple[Tensor, Tensor]:
        """Maps images in [−1, 1], [B, C, H, W], to y in [0, 1] and what is to be added to log p(y), shape [B]."""

    @abc.abstractmethod
    def middle(self, image: Tensor) -> Tensor:
        """Maps images to y without noise."""

    @abc.abstractmethod
    def image(self, y: Tensor) -> Tensor:
        """Maps y back to images in [−1, 1]."""


class _EightBit(Dequantisation):
    def middle(self, image: Tensor) -> Tensor:
        return (_values(image) + 0.5) / _LEVELS

    def image(self, y: Tensor) -> Tensor:
        return (_LEVELS * y).floor().clamp(0, _LEVELS - 1) / 127.5 - 1


def _values(image: Tensor) -> Tensor:
    """Returns the 8-bit values, 0 to 255, of images in [−1, 1]."""
    return ((image + 1) * 127.5).round().clamp(0, _LEVELS - 1)


class UniformDequantisation(_EightBit):
    """Creates dequantisation by uniform noise.

    References:
        | A Note on the Evaluation of Generative Models (Theis, van den Oord & Bethge, 2016), section 3.1
        | https://arxiv.org/abs/1511.01844

    Arguments:
        image_shape: The images' channels, height and width.
    """

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)

    def forward(self, image: Tensor, generator: Generators | None = None) -> tuple[Tensor, Tensor]:
        u = rand(image.shape, generator, image.device).to(image.dtype)
        return (_values(image) + u) / _LEVELS, image.new_full((len(image),), -image[0].numel() * math.log(_LEVELS))


class VariationalDequantisation(_EightBit):
    r"""Creates dequantisation by noise that is learned along with the density, which tightens the bound.

    Noise u = sigmoid(f(ε; v)) comes from ε ~ N(0, I) by affine couplings f with checkerboard masks, whose networks see
    the image. (The paper's are mixtures of logistics with attention.) It starts as sigmoid(1.7 ε), nearly uniform.

    References:
        | Flow++: Improving Flow-Based Generative Models with Variational Dequantization and Architecture Design
        | (Ho et al., 2019), section 3.1
        | https://arxiv.org/abs/1902.00275

    Arguments:
        image_shape: The images' channels, height and width; 2 pixels or more.
        couplings: The coupling layers.
        features: The hidden channels of their networks.
        blocks: Their residual blocks.
        checkpoint_activations: Whether activations are computed again in the backward pass, which saves memory.
    """

    def __init__(
        self,
        image_shape: Shape,
        couplings: int = 4,
        features: int = 32,
        blocks: int = 2,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        if image_shape[1] * image_shape[2] < 2 or couplings < 1:
            raise UserError("VariationalDequantisation needs images of 2 pixels or more, and 1 coupling or more")
        self.image_shape, channels = tuple(image_shape), image_shape[0]
        layers: list[Bijection] = []
        for i in range(couplings):
            layers.append(
                Coupling(
                    Checkerboard(image_shape, i % 2 == 1),
                    AffineTransform(channels),
                    lambda inputs, outputs: ResidualNetwork(inputs, outputs, channels, features, blocks),
                )
            )
        self.flow = Chain(layers, checkpoint_activations)
        self.log_gain = nn.Parameter(torch.full((channels, 1, 1), math.log(1.7)))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, image: Tensor, generator: Generators | None = None) -> tuple[Tensor, Tensor]:
        value, base = _values(image), StandardNormal()
        noise = base.sample(image.shape, generator, image.device).to(image.dtype)
        h, log_det = self.flow(noise, value / 127.5 - 1)
        h = h * self.log_gain.exp() + self.bias
        # u = sigmoid(h) has the slope sigmoid(h) sigmoid(−h).
        log_slope = self.log_gain + logsigmoid(h) + logsigmoid(-h)
        log_q = base.log_prob(noise.flatten(1)) - log_det - log_slope.flatten(1).sum(dim=1)
        return (value + h.sigmoid()) / _LEVELS, -log_q - image[0].numel() * math.log(_LEVELS)


class NoDequantisation(Dequantisation):
    """Creates what stands in its place for points, which are continuous and have no bounds.

    Points x become y = (x + 1) / 2, which `Centring` undoes; their log-probability is a density's, in nats.

    Arguments:
        image_shape: The points' shape.
    """

    what = "points (a density)"
    is_random = False

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)

    def forward(self, image: Tensor, generator: Generators | None = None) -> tuple[Tensor, Tensor]:
        return self.middle(image), image.new_full((len(image),), -image[0].numel() * math.log(2.0))

    def middle(self, image: Tensor) -> Tensor:
        return (image + 1) / 2

    def image(self, y: Tensor) -> Tensor:
        return 2 * y - 1
