r"""What a denoiser's guesses are worth at a level of noise, and the score that they are.

The best guesses are means, :math:`E[x | x_t]` and :math:`E[\epsilon | x_t]`, and say where the data's density grows:

.. math:: \nabla \log p_t(x_t) = \frac{\alpha \, E[x | x_t] - x_t}{\sigma^2} = -\frac{E[\epsilon | x_t]}{\sigma}

References:
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021)
    | https://arxiv.org/abs/2011.13456
"""

__all__ = ["DenoisingErrors", "denoising_errors", "gaussian_error", "score"]

from typing import NamedTuple

import torch
from torch import Tensor

from lit_gen.functional.sampler import Denoiser


class DenoisingErrors(NamedTuple):
    r"""Mean squared errors of each image's guesses, [B] each.

    Guesses fit together, :math:`\alpha \hat x + \sigma \hat\epsilon = x_t`, so one error is all of them: that of the
    noise is SNR times that of the image, and that of the velocity :math:`(\alpha' - \sigma' \alpha / \sigma)^2` times.

    Attributes:
        data: Those of the image x.
        noise: Those of the noise ε.
        velocity: Those of the velocity dx_t/dt.
    """

    data: Tensor
    noise: Tensor
    velocity: Tensor


def denoising_errors(denoise: Denoiser, x: Tensor, epsilon: Tensor, t: Tensor) -> DenoisingErrors:
    """Returns how wrong a denoiser is about images that noise has made noisy.

    Arguments:
        denoise: The denoiser.
        x: The images, [B, …].
        epsilon: The noise, [B, …].
        t: Their times, float64 [B].
    """
    shape = (-1, *[1] * (x.ndim - 1))
    alpha, sigma = (value.to(x.dtype).view(shape) for value in denoise.schedule.at(t))
    alpha_rate, sigma_rate = (value.to(x.dtype).view(shape) for value in denoise.schedule.rates(t))
    guess = denoise(alpha * x + sigma * epsilon, t)
    data, noise = guess.x - x, guess.epsilon - epsilon
    return DenoisingErrors(
        *(error.square().flatten(1).mean(1) for error in (data, noise, alpha_rate * data + sigma_rate * noise))
    )


def gaussian_error(variance: float, alpha: Tensor, sigma: Tensor) -> Tensor:
    r"""Returns the least mean squared error of x if that is normal, :math:`s^2 \sigma^2 / (\alpha^2 s^2 + \sigma^2)`.

    Of all data of this mean and variance s² it is also the error of the best guess that is linear in x_t.
    """
    return variance * sigma.square() / (alpha.square() * variance + sigma.square())


def score(denoise: Denoiser, x_t: Tensor, t: float) -> Tensor:
    """Returns ∇ log p_t of noisy images x_t [B, …] at a time at which there is noise, [B, …]."""
    _, sigma = denoise.schedule.at(torch.tensor(t, dtype=torch.float64))
    return -denoise(x_t, t).epsilon / float(sigma)
