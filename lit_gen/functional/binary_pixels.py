"""Black and white pixels of autoregressive models."""

__all__ = ["BinaryPixels"]

from typing import Literal

from torch import Tensor
from torch.nn.functional import logsigmoid

from lit_gen.contracts import Generators
from lit_gen.functional.bernoulli import BernoulliLikelihood
from lit_gen.functional.pixels import PixelDistribution, PixelLayout


class BinaryPixels(PixelDistribution):
    r"""Creates binary pixels, θ the logits of their channels, which are drawn one after the other.

    .. math:: \log p(x_i | x_{<i}) = \log \sigma(x_i \theta_i), \quad x_i \in \{-1, 1\}

    Grey images are made binary first; their log-probability is not that of the grey images.

    References:
        | On the Quantitative Analysis of Deep Belief Networks (Salakhutdinov & Murray, 2008): ``dynamic`` binarisation

        | Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), section 5.4
        | https://arxiv.org/abs/1601.06759

    Arguments:
        binarisation: ``dynamic`` or ``threshold``; see `lit_gen.functional.bernoulli.BernoulliLikelihood`.
    """

    def __init__(self, binarisation: Literal["dynamic", "threshold"] = "dynamic") -> None:
        self.binarisation = binarisation
        self._binary = BernoulliLikelihood(binarisation)
        self.of = self._binary.of

    def layout(self, channels: int) -> PixelLayout:
        return PixelLayout(groups=channels, num_inputs=channels, num_outputs=channels, num_uniforms=1)

    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        return self._binary.observe(image, generator)

    def planes(self, x: Tensor) -> Tensor:
        return x

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        return logsigmoid(x * theta).sum(dim=1)

    def draw(self, theta: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        return 2 * (u < (theta / temperature).sigmoid()).to(theta.dtype) - 1
