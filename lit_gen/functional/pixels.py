"""What a pixel is to an autoregressive model, as a value: the distribution of its channels given all that precedes."""

__all__ = ["PixelDistribution", "PixelLayout"]

import abc
from typing import NamedTuple

from torch import Tensor

from lit_gen.contracts import Generators


class PixelLayout(NamedTuple):
    """What a distribution over pixels of C channels asks of a network.

    Arguments:
        groups: In how many steps G a pixel is drawn: C, one channel after the other, each of them seen by those after
            it, or 1, all channels at once.
        num_inputs: The planes that an image is to the network, group after group.
        num_outputs: The numbers θ that the network gives for each pixel, group after group.
        num_uniforms: The uniform random numbers that a step takes.
    """

    groups: int
    num_inputs: int
    num_outputs: int
    num_uniforms: int


class PixelDistribution(abc.ABC):
    r"""A distribution p(x_i | x_{<i}) over a pixel's C channels, given an autoregressive network's numbers θ for it.

    Values x are those of images, in [−1, 1]. Numbers θ are in float32 or more.

    Attributes:
        of: What the log-probability is of, a few words.
    """

    of: str = "8-bit images"

    @abc.abstractmethod
    def layout(self, channels: int) -> PixelLayout:
        """Returns what is asked of a network for images of so many channels."""

    @abc.abstractmethod
    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        """Returns what of images in [−1, 1], [B, C, H, W], the distribution is over, of the same shape and range.

        Arguments:
            image: The images.
            generator: The source of randomness, if there is any; see `lit_gen.contracts.SupportsSample.sample`.
        """

    @abc.abstractmethod
    def planes(self, x: Tensor) -> Tensor:
        """Maps values [B, C, ...], or those of one group [B, C/G, ...], to what the network sees, [B, planes, ...]."""

    @abc.abstractmethod
    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """Returns each pixel's log p(x_i | x_{<i}) in nats, shape [B, H, W].

        Arguments:
            x: What was observed, shape [B, C, H, W].
            theta: The network's numbers, shape [B, num_outputs, H, W].
        """

    @abc.abstractmethod
    def draw(self, theta: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        """Draws the values of one group of one pixel, shape [B, C/G].

        Arguments:
            theta: The network's numbers for them, shape [B, num_outputs/G].
            u: Uniform random numbers in [0, 1), shape [B, num_uniforms].
            temperature: What logits are divided by and scales multiplied by, above 0.
        """
