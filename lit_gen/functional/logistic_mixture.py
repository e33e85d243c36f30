r"""8-bit pixels of autoregressive models by mixtures of logistic distributions, made distributions over 256 values.

Of M components with weights π, each says of channel c, given those before it,

.. math:: \mu_c(x) = \mu_c + \sum_{d < c} \alpha_{c,d} \, x_d, \qquad
    P(x) = \sum_m \pi_m \prod_c P_m(x_c | \mu_{m,c}(x), s_{m,c})
"""

__all__ = ["LogisticMixturePixels"]

import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.discretized_logistic import discretized_logistic
from lit_gen.functional.pixels import PixelDistribution, PixelLayout


class LogisticMixturePixels(PixelDistribution):
    r"""Creates 8-bit pixels all of whose channels are drawn at once, from a mixture of discretized logistics.

    θ holds for each pixel M weights' logits, C·M means, C·M log-scales and, for each pair of channels, M coefficients
    α, to which a tanh applies.

    References:
        | PixelCNN++ (Salimans et al., 2017), equations (1) to (3)
        | https://arxiv.org/abs/1701.05517

    Arguments:
        components: The number of components M.
        min_log_scale: The smallest log-scale, below which an interval is all there is.
    """

    def __init__(self, components: int = 10, min_log_scale: float = -7.0) -> None:
        if components < 1:
            raise UserError(f"LogisticMixturePixels' components are {components}, and must be at least 1")
        self.components, self.min_log_scale = components, min_log_scale

    def layout(self, channels: int) -> PixelLayout:
        per_component = 1 + 2 * channels + channels * (channels - 1) // 2
        return PixelLayout(1, channels, num_outputs=self.components * per_component, num_uniforms=channels + 1)

    def observe(self, image: Tensor, generator: Generators | None = None) -> Tensor:
        return image

    def planes(self, x: Tensor) -> Tensor:
        return x

    def log_prob(self, x: Tensor, theta: Tensor) -> Tensor:
        logits, means, log_scales, alpha = self._split(theta, x.shape[1])
        total = logits.log_softmax(dim=1)
        for c in range(x.shape[1]):
            mean = means[:, c]
            for d in range(c):  # (3)
                mean = mean + alpha[:, c * (c - 1) // 2 + d] * x[:, d, None]
            total = total + discretized_logistic(x[:, c, None], mean, log_scales[:, c])
        return total.logsumexp(dim=1)

    def draw(self, theta: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        logits, means, log_scales, alpha = self._split(theta, u.shape[1] - 1)
        passed = (logits / temperature).softmax(dim=1).cumsum(dim=1) <= u[:, :1]
        chosen = passed.sum(dim=1).clamp(max=self.components - 1)
        # Of each image its component: [B, number, M] → [B, number].
        means, log_scales, alpha = (
            part.gather(2, chosen[:, None, None].expand(-1, part.shape[1], 1)).squeeze(2)
            for part in (means, log_scales, alpha)
        )
        noise = temperature * log_scales.exp() * torch.logit(u[:, 1:])
        x: list[Tensor] = []
        for c in range(means.shape[1]):
            mean = means[:, c]
            for d in range(c):
                mean = mean + alpha[:, c * (c - 1) // 2 + d] * x[d]
            level = (((mean + noise[:, c]).clamp(-1, 1) + 1) * 127.5).round()
            x.append(level / 127.5 - 1)
        return torch.stack(x, dim=1)

    def _split(self, theta: Tensor, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns logits [B, M, ...], means and log-scales [B, C, M, ...] and α [B, C(C − 1)/2, M, ...]."""
        parts = theta.unflatten(1, (-1, self.components))
        logits, means, log_scales, alpha = parts.split([1, channels, channels, channels * (channels - 1) // 2], dim=1)
        return logits.squeeze(1), means, log_scales.clamp(min=self.min_log_scale), alpha.tanh()
