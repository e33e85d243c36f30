"""Distributions on the line whose best denoiser is known: Gaussians, and mixtures of them; in float64."""

__all__ = ["Mixture", "PARAMETERISATIONS", "SCHEDULES", "levels_between", "oracle"]

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_gen.functional.noise_schedule import Level, NoiseSchedule
from lit_gen.functional.noise_schedules import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    RectifiedFlowSchedule,
    SigmoidSchedule,
)
from lit_gen.functional.parameterisation import (
    DataPrediction,
    EDMPreconditioning,
    EpsilonPrediction,
    Parameterisation,
    VelocityPrediction,
    VPrediction,
)
from lit_gen.functional.sampler import Denoiser, Prediction
from lit_gen.functional.tabulated_schedules import Discretised, LinearBetas

SCHEDULES: dict[str, Any] = {
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "sigmoid": SigmoidSchedule(),
    "EDM": EDMSchedule(),
    "rectified flow": RectifiedFlowSchedule(),
    "DDPM": LinearBetas(),
    "improved DDPM": Discretised(CosineSchedule()),
}
PARAMETERISATIONS: dict[str, Any] = {
    "epsilon": EpsilonPrediction(),
    "data": DataPrediction(),
    "v": VPrediction(),
    "velocity": VelocityPrediction(),
    "EDM": EDMPreconditioning(),
}


class Mixture(NamedTuple):
    """Gaussians of one deviation, equally probable."""

    means: tuple[float, ...]
    std: float

    def posterior_mean(self, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Returns E[x | x_t]."""
        means, x_t = torch.tensor(self.means, dtype=torch.float64), x_t[..., None]
        alpha, sigma = alpha[..., None], sigma[..., None]
        variance = (alpha * self.std) ** 2 + sigma**2
        shares = (-0.5 * (x_t - alpha * means) ** 2 / variance).softmax(-1)
        each = means + alpha * self.std**2 / variance * (x_t - alpha * means)
        return (shares * each).sum(-1)

    def cdf(self, x_t: Tensor, level: Level) -> Tensor:
        """Returns the share of x_t's distribution that lies below."""
        means = torch.tensor(self.means, dtype=torch.float64)
        std = math.hypot(level.alpha * self.std, level.sigma)
        return torch.special.ndtr((x_t[..., None] - level.alpha * means) / std).mean(-1)

    def moments(self, level: Level) -> tuple[float, float]:
        """Returns the mean and the variance of x_t's distribution."""
        means = torch.tensor(self.means, dtype=torch.float64)
        variance = means.var(correction=0).item() + self.std**2
        return level.alpha * means.mean().item(), level.alpha**2 * variance + level.sigma**2


def oracle(data: Mixture, schedule: NoiseSchedule, kind: Parameterisation) -> Denoiser:
    """Returns what a perfect network says, by way of a parameterisation."""

    def predict(x_t: Tensor, t: Tensor, rows: Tensor | None) -> Prediction:
        alpha, sigma = (value.view(-1, *[1] * (x_t.ndim - 1)) for value in schedule.at(t))
        x = data.posterior_mean(x_t, alpha.expand_as(x_t), sigma.expand_as(x_t))
        said = kind.target(x, (x_t - alpha * x) / sigma, t, schedule)
        return Prediction(*kind.parts(said, x_t, t, schedule))

    return Denoiser(schedule, predict)


def levels_between(schedule: NoiseSchedule, num: int, high: float = 5.0, low: float = -5.0) -> list[Level]:
    """Returns levels with even steps of log-SNR, of noise downwards."""
    log_snr = torch.linspace(low, high, num + 1, dtype=torch.float64)
    return [schedule.level(t) for t in schedule.time_of(log_snr).tolist()]
