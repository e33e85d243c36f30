r"""A step back from noise: the distribution of :math:`x_s` given :math:`x_t` and the image x, s being the earlier time.

.. math:: q(x_s | x_t, x) = N\Big(\frac{\alpha_{ts} \sigma_s^2}{\sigma_t^2} x_t
    + \frac{\alpha_s \sigma_{ts}^2}{\sigma_t^2} x, \; \tilde\beta\Big), \quad
    \alpha_{ts} = \frac{\alpha_t}{\alpha_s}, \quad \sigma_{ts}^2 = \sigma_t^2 - \alpha_{ts}^2 \sigma_s^2, \quad
    \tilde\beta = \sigma_{ts}^2 \frac{\sigma_s^2}{\sigma_t^2}

References:
    | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), equations (6) and (7)
    | https://arxiv.org/abs/2006.11239
"""

__all__ = ["ReverseStep", "ReverseVariance", "reverse_step", "step_between"]

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lit_gen.functional.noise_schedule import Level

ReverseVariance: TypeAlias = Literal["large", "small", "learned"]
"""``large`` is what the forward step adds, β = σ²_ts; ``small`` its part that is unknown once the image is known, β̃."""


class ReverseStep(NamedTuple):
    """The numbers of a step back, float64, of any shape that goes with the images'.

    Attributes:
        from_x_t: What x_t counts for in the mean.
        from_x: What the image counts for.
        least: log β̃, −∞ if the step leads to the image itself.
        most: log β.
    """

    from_x_t: Tensor
    from_x: Tensor
    least: Tensor
    most: Tensor

    def mean(self, x_t: Tensor, x: Tensor) -> Tensor:
        """Returns the mean of q(x_s | x_t, x)."""
        return self.from_x_t.to(x.dtype) * x_t + self.from_x.to(x.dtype) * x


def reverse_step(alpha_t: Tensor, sigma_t: Tensor, alpha_s: Tensor, sigma_s: Tensor) -> ReverseStep:
    """Returns the step from the level t to the level s."""
    ratio = alpha_t / alpha_s
    added = sigma_t.square() - (ratio * sigma_s).square()
    most = added.log()
    return ReverseStep(
        ratio * (sigma_s / sigma_t).square(),
        alpha_s * added / sigma_t.square(),
        most + 2 * (sigma_s / sigma_t).log(),
        most,
    )


def step_between(now: Level, to: Level) -> ReverseStep:
    """Returns the step between two levels."""
    return reverse_step(*torch.tensor([now.alpha, now.sigma, to.alpha, to.sigma], dtype=torch.float64).unbind())
