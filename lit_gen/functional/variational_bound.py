"""The terms of a diffusion model's variational bound, in nats per image."""

__all__ = ["bound_term", "prior_divergence", "sampled_bound"]

import math

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.discretized_gaussian import discretized_gaussian
from lit_gen.functional.noise_schedule import Level, NoiseSchedule
from lit_gen.functional.reverse_step import ReverseStep, ReverseVariance, reverse_step
from lit_gen.functional.sampler import Prediction


def prior_divergence(x: Tensor, level: Level, std: float) -> Tensor:
    """Returns KL(q(x_t|x) ‖ N(0, std²)) of images x [B, …] at the last level, [B]."""
    ratio = (level.sigma / std) ** 2
    divergence = 0.5 * ((level.alpha * x / std).square() + ratio - 1 - math.log(ratio))
    return divergence.flatten(1).sum(1)


def bound_term(
    x: Tensor, x_t: Tensor, prediction: Prediction, step: ReverseStep, variance: ReverseVariance, last: bool | Tensor
) -> Tensor:
    """Returns KL(q(x_s|x_t, x) ‖ p(x_s|x_t)), or −log p(x|x_t) of 8-bit images where x_s is the image itself, [B].

    Arguments:
        x: The images, [B, …].
        x_t: What noise made of them.
        prediction: What the denoiser says of that.
        step: The step; its least variance is to be above 0, which the papers' last step takes from the one before it.
        variance: That of p(x_s|x_t).
        last: Whether x_s is the image, one answer for all or bool [B, 1, …].

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), equations (5), (6) and (13)
        | https://arxiv.org/abs/2006.11239

        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), equation (15)
        | https://arxiv.org/abs/2102.09672
    """
    least, most = step.least.to(x), step.most.to(x)
    if variance == "learned":
        if prediction.between is None:
            raise UserError("a bound with learned variances needs a model that has them: set model.learned_variance")
        log_variance = least + (most - least) * prediction.between
    else:
        log_variance = (most if variance == "large" else least).expand_as(x)
    mean, true = step.mean(x_t, prediction.x), step.mean(x_t, x)
    apart = (true - mean).square() * (-log_variance).exp()
    divergence = 0.5 * (log_variance - least + torch.exp(least - log_variance) + apart - 1)
    if last is not False:  # a tensor is not asked for what it holds, which would wait for the device
        surprise = -discretized_gaussian(x, mean, 0.5 * log_variance)
        divergence = surprise if last is True else torch.where(last, surprise, divergence)
    return divergence.flatten(1).sum(1)


def sampled_bound(x: Tensor, x_t: Tensor, t: Tensor, prediction: Prediction, schedule: NoiseSchedule) -> Tensor:
    """Returns T times one term of the bound with learned variances, each image's at its own time, in nats, [B].

    Over times drawn uniformly its mean is the whole bound's, but for the part that nothing can be learned of.

    References:
        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), section 3.1
        | https://arxiv.org/abs/2102.09672

    Arguments:
        x: The images, [B, C, H, W].
        x_t: What noise made of them.
        t: Their times, float64 [B].
        prediction: What the denoiser says of that.
        schedule: The schedule, one of T steps.
    """
    assert schedule.steps is not None
    before, here, after = (schedule.at((t + i / schedule.steps).clamp(0, 1)) for i in (-1, 0, 1))
    step, above = reverse_step(*here, *before), reverse_step(*after, *here)
    last = (t * schedule.steps).round() == 1
    step = step._replace(least=torch.where(last, above.least, step.least))
    wide = ReverseStep(*(value.view(-1, 1, 1, 1) for value in step))
    return schedule.steps * bound_term(x, x_t, prediction, wide, "learned", last.view(-1, 1, 1, 1))
