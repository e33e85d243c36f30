"""What a decoder's numbers say about an image, as a value: a distribution over images."""

__all__ = ["Likelihood"]

import abc

from torch import Tensor

from lit_gen.contracts import Generators


class Likelihood(abc.ABC):
    r"""A distribution p(x|θ) over 8-bit images, or over what is made of them, given a decoder's numbers θ.

    Its methods take θ of shape [..., B, P·C, H, W], P numbers for each of an image's, in float32 or more: P blocks of C
    channels. It is a log-*probability* that they give, as `lit_gen.contracts.SupportsLogProb` wants it.

    Attributes:
        num_parameters: How many numbers P the decoder gives for each of an image's.
        of: What the log-probability is of, a few words.
    """

    num_parameters: int = 1
    of: str = "8-bit images"

    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        """Returns what of images in [−1, 1], [B, C, H, W], the distribution is over, of the same shape and range.

        Arguments:
            image: The images.
            generator: The source of randomness, if there is any; see `lit_gen.contracts.SupportsSample.sample`.
        """
        return image

    def observe_without_noise(self, image: Tensor) -> Tensor:
        """Returns the same, or what is most probable if it is drawn."""
        return image

    @abc.abstractmethod
    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        """Returns log p(x|θ) in nats, summed over an image's numbers, shape [..., B].

        Arguments:
            x: What was observed, shape [B, C, H, W].
            theta: The decoder's numbers, shape [..., B, P·C, H, W].
        """

    @abc.abstractmethod
    def mean(self, theta: Tensor) -> Tensor:
        """Maps θ [B, P·C, H, W] to the distribution's mean, images in [−1, 1], [B, C, H, W]."""

    @abc.abstractmethod
    def draw(self, theta: Tensor, generator: Generators | None = None) -> Tensor:
        """Maps θ [B, P·C, H, W] to images in [−1, 1] drawn from the distribution, [B, C, H, W]."""
