"""What the latents of normalizing flows are drawn from."""

__all__ = ["BaseDistribution", "StandardLogistic", "StandardNormal"]

import abc
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lit_gen.contracts import Generators
from lit_gen.functional.noise import rand, randn


class BaseDistribution(abc.ABC):
    """A distribution of independent numbers around 0; a value that a model is given."""

    @abc.abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log-density of latents [B, D] in nats, shape [B]."""

    @abc.abstractmethod
    def sample(self, shape: Sequence[int], generator: Generators | None, device: torch.device) -> Tensor:
        """Draws latents, float32; see `lit_gen.functional.noise.randn`."""


class StandardNormal(BaseDistribution):
    """Creates the normal distribution N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + math.log(2.0 * math.pi)).sum(dim=1)

    def sample(self, shape: Sequence[int], generator: Generators | None, device: torch.device) -> Tensor:
        return randn(shape, generator, device)


class StandardLogistic(BaseDistribution):
    r"""Creates the logistic distribution, :math:`\log p(z) = -\log(1 + e^z) - \log(1 + e^{-z})`.

    References:
        | NICE: Non-linear Independent Components Estimation (Dinh, Krueger & Bengio, 2015), section 3.4
        | https://arxiv.org/abs/1410.8516
    """

    def log_prob(self, z: Tensor) -> Tensor:
        return -(softplus(z) + softplus(-z)).sum(dim=1)

    def sample(self, shape: Sequence[int], generator: Generators | None, device: torch.device) -> Tensor:
        # Uniform numbers are multiples of 2⁻²⁴, of which 0 would be infinite: the middles between them.
        return (rand(shape, generator, device) * (1 - 2**-24) + 2**-25).logit()
