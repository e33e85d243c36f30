"""Decoders of 8-bit images by Gaussians over 256 values, of a fixed or a learned variance."""

__all__ = ["GaussianLikelihood", "discretized_gaussian"]

import math

import torch
from torch import Tensor
from torch.special import log_ndtr

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.discretised import HALF_INTERVAL, at_ends, log_one_minus_exp
from lit_gen.functional.likelihood import Likelihood
from lit_gen.functional.noise import randn

# Where w (1 + |t|) is below this, w being half the interval and t its middle in deviations, two terms of the series of
# an interval's mass have all the digits of float32, and a difference of the distribution function has few.
_NARROW = 0.02


def discretized_gaussian(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    r"""Returns log P(x) of 8-bit values under Gaussians, each of them over 256 values, in nats.

    .. math:: P(x) = \Phi\big((x + h - \mu)/\sigma\big) - \Phi\big((x - h - \mu)/\sigma\big), \quad h = 1/255

    the first and the last interval being open. See `lit_gen.functional.discretised`.

    Arguments:
        x: Values v / 127.5 − 1, any shape.
        mean: μ, in the unit of x.
        log_std: log σ, likewise.
    """
    inverse = (-log_std).exp()
    middle, half = (x - mean) * inverse, HALF_INTERVAL * inverse
    lowest, highest = log_ndtr(middle + half), log_ndtr(half - middle)
    narrow = half * (1 + middle.abs()) < _NARROW
    # By symmetry in the left tail, where log Φ has all its digits. What is narrow goes another way: its difference
    # could be 0.
    wide = torch.where(narrow, _NARROW, half)
    left = -middle.abs()
    b, a = log_ndtr(left + wide), log_ndtr(left - wide)
    exact = b + log_one_minus_exp(b - a)
    # The density's mean over an interval of half-width w is φ(t) (1 + w² (t² − 1) / 6 + …), as log its exponent.
    w2 = torch.where(narrow, half, 0.0).square()
    density = math.log(2) + half.log() - 0.5 * math.log(2 * math.pi) - 0.5 * middle.square()
    series = density + w2 * (middle.square() - 1) / 6
    return at_ends(x, torch.where(narrow, series, exact), lowest, highest)


class GaussianLikelihood(Likelihood):
    r"""Creates a decoder of independent 8-bit values, θ the means of `discretized_gaussian`, and perhaps deviations.

    A Gaussian's density is none of images: its mass on the values' intervals is, exactly.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix C.2
        | https://arxiv.org/abs/1312.6114

    Arguments:
        std: The deviation σ, in the unit of images in [−1, 1]; None has the decoder give one for each number.
        min_std: The smallest that it can give.
    """

    def __init__(self, std: float | None = None, min_std: float = 1e-3) -> None:
        for name, value in (("std", std), ("min_std", min_std)):
            if value is not None and not value > 0:
                raise UserError(f"{name} is {value}, and must be above 0")
        self.std, self.min_std = std, min_std
        self.num_parameters = 2 if std is None else 1

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        return discretized_gaussian(x, *self._split(theta)).sum((-3, -2, -1))

    def mean(self, theta: Tensor) -> Tensor:
        return self._split(theta)[0].clamp(-1, 1)

    def draw(self, theta: Tensor, generator: Generators | None = None) -> Tensor:
        mean, log_std = self._split(theta)
        x = mean + log_std.exp() * randn(tuple(mean.shape), generator, mean.device)
        return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1

    def _split(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        if self.std is not None:
            return theta, theta.new_tensor(math.log(self.std))
        mean, log_std = theta.chunk(2, dim=-3)
        return mean, (log_std - 1.0).clamp(min=math.log(self.min_std))  # from σ = 1/e on, where decoders give zeros
