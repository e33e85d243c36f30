"""Bernoulli decoders: images of black and white pixels."""

__all__ = ["BernoulliLikelihood"]

from typing import Literal

from torch import Tensor
from torch.nn.functional import logsigmoid

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.likelihood import Likelihood
from lit_gen.functional.noise import rand

_OF = {"dynamic": "dynamically binarised images", "threshold": "images binarised at one half"}


class BernoulliLikelihood(Likelihood):
    r"""Creates a decoder of independent binary pixels, θ their logits.

    .. math:: \log p(x|\theta) = \sum_i \log \sigma(x_i \theta_i), \quad x_i \in \{-1, 1\}

    Grey images are made binary first, values 0 and 1 standing as −1 and 1. Their log-probability is not that of the
    grey images.

    References:
        | Auto-Encoding Variational Bayes (Kingma & Welling, 2014), appendix C.1
        | https://arxiv.org/abs/1312.6114

        | On the Quantitative Analysis of Deep Belief Networks (Salakhutdinov & Murray, 2008): ``dynamic`` binarisation

    Arguments:
        binarisation: ``dynamic`` draws each pixel with its grey value as the probability of 1: afresh whenever an image
            is seen in training, and once per image, by its own seed, in an evaluation. ``threshold`` makes 1 of what is
            above one half.
    """

    def __init__(self, binarisation: Literal["dynamic", "threshold"] = "dynamic") -> None:
        if binarisation not in _OF:
            raise UserError(f"binarisation is '{binarisation}'; it can be 'dynamic' or 'threshold'")
        self.binarisation = binarisation
        self.of = _OF[binarisation]

    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        if self.binarisation == "threshold":
            return self.observe_without_noise(image)
        return _drawn(image, generator)

    def observe_without_noise(self, image: Tensor) -> Tensor:
        return 2 * (image > 0).to(image.dtype) - 1

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        return logsigmoid(x * theta).sum((-3, -2, -1))

    def mean(self, theta: Tensor) -> Tensor:
        return 2 * theta.sigmoid() - 1

    def draw(self, theta: Tensor, generator: Generators | None = None) -> Tensor:
        return _drawn(self.mean(theta), generator)


def _drawn(mean: Tensor, generator: Generators | None) -> Tensor:
    """Draws values −1 and 1 with means in [−1, 1]; uniform numbers stop short of 1, so that 1 and −1 are certain."""
    return 2 * (2 * rand(tuple(mean.shape), generator, mean.device) - 1 < mean).to(mean.dtype) - 1
