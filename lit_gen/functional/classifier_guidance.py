r"""Guidance by a classifier: samples of what is as p(x) p(y|x)^w in place of p(x), by another score.

The score of noisy images is −ε/σ. To it comes that of their label y, w times, and so the denoiser says

.. math:: \epsilon' = \epsilon - w \, \sigma \, \nabla_{x_t} \log p(y | x_t), \quad
    x' = x + w \, \frac{\sigma^2}{\alpha} \, \nabla_{x_t} \log p(y | x_t)

which with w = 1 are the noise and the image to be expected given x_t and y. A classifier of noisy images says p(y|x_t).
One that knows none but clean images is asked about the image to be expected, and differentiated through the denoiser:

.. math:: \log p(y | x_t) \approx \log p(y | x(x_t))

which holds the better the less noise there is: a mean of probabilities is taken for the probability of a mean. Where
nearly all is noise it is not asked: there σ²/α multiplies what errors the denoiser's derivative has.

References:
    | Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol, 2021), section 4, equation (14)
    | https://arxiv.org/abs/2105.05233

    | Diffusion Posterior Sampling for General Noisy Inverse Problems (Chung et al., 2023), theorem 1: the approximation
    | https://arxiv.org/abs/2209.14687

    | Universal Guidance for Diffusion Models (Bansal et al., 2023), section 3.1: classifiers of clean images
    | https://arxiv.org/abs/2302.07121

    | Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in Diffusion Models
    | (Kynkäänniemi et al., 2024)
    | https://arxiv.org/abs/2404.07724
"""

__all__ = ["LabelLikelihood", "guided_by", "of_clean_images"]

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lit_gen.functional.at_least_float32 import at_least_float32
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.sampler import Denoiser, Prediction

LabelLikelihood: TypeAlias = Callable[[Tensor, Tensor, Prediction, Tensor], Tensor]
"""Maps images x_t [b, …], their times, float64 [b], what a denoiser says of them, and labels [b] to log p(y|x_t), [b].

Of the images it must be differentiable, of each one by itself.
"""


def of_clean_images(
    classify: Callable[[Tensor], Tensor], schedule: NoiseSchedule, least_log_snr: float = -4.0
) -> LabelLikelihood:
    """Returns log p(y|x_t) by a classifier of clean images, of the image that is to be expected.

    Arguments:
        classify: Maps images in about [−1, 1], [b, …], to logits [b, K].
        schedule: The noise schedule.
        least_log_snr: Images of less log α²/σ² say nothing about their label: 0 for all.
    """

    def log_prob(x_t: Tensor, t: Tensor, prediction: Prediction, label: Tensor) -> Tensor:
        found = -cross_entropy(at_least_float32(classify(prediction.x)), label, reduction="none")
        return torch.where(schedule.log_snr(t) >= least_log_snr, found, 0 * found)

    return log_prob


def guided_by(denoise: Denoiser, log_prob: LabelLikelihood, label: Tensor, scale: float) -> Denoiser:
    """Returns a denoiser of images that have labels, from one that need not know them.

    Arguments:
        denoise: The denoiser.
        log_prob: What noisy images say about their labels.
        label: The labels of a whole batch, [B].
        scale: The weight w: 1 for images of their class, more for such as nobody could mistake, 0 for any.
    """
    schedule = denoise.schedule

    # Callers may be in inference mode, where nothing can be differentiated.
    @torch.inference_mode(False)
    def predict(x_t: Tensor, t: Tensor, rows: Tensor | None) -> Prediction:
        y, t = label.clone() if rows is None else label[rows], t.clone()
        with torch.enable_grad():
            x_t = x_t.detach().clone().requires_grad_()
            said = denoise(x_t, t, rows)
            (gradient,) = torch.autograd.grad(log_prob(x_t, t, said, y).sum(), x_t)
        alpha, sigma = (value.to(gradient.dtype).view(-1, *[1] * (x_t.ndim - 1)) for value in schedule.at(t))
        x = said.x.detach() + scale * sigma.square() / alpha * gradient
        epsilon = said.epsilon.detach() - scale * sigma * gradient
        return Prediction(x, epsilon, None if said.between is None else said.between.detach())

    return Denoiser(schedule, predict)
