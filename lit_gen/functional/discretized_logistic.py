"""Decoders of 8-bit images by logistic distributions over 256 values."""

__all__ = ["DiscretizedLogisticLikelihood", "discretized_logistic"]

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lit_gen.contracts import Generators
from lit_gen.functional.discretised import HALF_INTERVAL, at_ends, log_one_minus_exp
from lit_gen.functional.likelihood import Likelihood
from lit_gen.functional.noise import rand


def discretized_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    r"""Returns log P(x) of 8-bit values under logistic distributions, each of them over 256 values, in nats.

    .. math:: P(x) = \sigma\big((x + h - \mu)/s\big) - \sigma\big((x - h - \mu)/s\big), \quad h = 1/255

    the first and the last interval being open. See `lit_gen.functional.discretised`.

    References:
        | Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016), equation (40)
        | https://arxiv.org/abs/1606.04934

        | PixelCNN++ (Salimans et al., 2017), equation (2)
        | https://arxiv.org/abs/1701.05517

    Arguments:
        x: Values v / 127.5 − 1, any shape.
        mean: μ, in the unit of x.
        log_scale: log s, likewise.
    """
    inverse = (-log_scale).exp()
    upper, lower = (x + HALF_INTERVAL - mean) * inverse, (x - HALF_INTERVAL - mean) * inverse
    lowest, highest = logsigmoid(upper), logsigmoid(-lower)
    # σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a − b)), of which nothing cancels however far in a tail both are.
    inside = lowest + highest + log_one_minus_exp(2 * HALF_INTERVAL * inverse)
    return at_ends(x, inside, lowest, highest)


class DiscretizedLogisticLikelihood(Likelihood):
    r"""Creates a decoder of independent 8-bit values, θ the means and log-scales of `discretized_logistic`.

    Arguments:
        min_log_scale: The smallest log-scale, below which an interval is all there is.
        start_log_scale: What is added to the decoder's log-scales, so that zeros are a sensible start.
    """

    num_parameters = 2

    def __init__(self, min_log_scale: float = -7.0, start_log_scale: float = -1.0) -> None:
        self.min_log_scale, self.start_log_scale = min_log_scale, start_log_scale

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        return discretized_logistic(x, *self._split(theta)).sum((-3, -2, -1))

    def mean(self, theta: Tensor) -> Tensor:
        return self._split(theta)[0].clamp(-1, 1)

    def draw(self, theta: Tensor, generator: Generators | None = None) -> Tensor:
        mean, log_scale = self._split(theta)
        u = rand(tuple(mean.shape), generator, mean.device).clamp(1e-5, 1 - 1e-5)
        x = mean + log_scale.exp() * torch.logit(u)
        return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1

    def _split(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = theta.chunk(2, dim=-3)
        return mean, (log_scale + self.start_log_scale).clamp(min=self.min_log_scale)
