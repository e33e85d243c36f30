"""Noise schedules that are functions of continuous time."""

__all__ = ["CosineSchedule", "EDMSchedule", "LinearSchedule", "RectifiedFlowSchedule", "SigmoidSchedule"]

import math

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import NoiseSchedule, VariancePreserving

# Earlier than this nothing is seen of the noise, and later than this log-SNR nothing of the image.
_FIRST, _LAST_LOG_SNR = 1e-3, torch.tensor(-20.0, dtype=torch.float64)


class LinearSchedule(VariancePreserving):
    r"""Creates DDPM's schedule in continuous time, whose noise comes in at a rate that grows linearly.

    .. math:: \log \bar\alpha(t) = -\beta_0 t - \tfrac12 (\beta_1 - \beta_0) t^2

    References:
        | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), equation (33)
        | https://arxiv.org/abs/2011.13456

    Arguments:
        first: The rate β₀ at t = 0, above 0.
        last: The rate β₁ at t = 1, above β₀.
    """

    def __init__(self, first: float = 0.1, last: float = 20.0) -> None:
        if not 0 < first < last:
            raise UserError(f"LinearSchedule's rates are {first} and {last}; 0 < first < last must hold")
        self.first, self.last = first, last

    @property
    def span(self) -> tuple[float, float]:
        return _FIRST, 1.0

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        return -t * (self.first + 0.5 * (self.last - self.first) * t)

    def log_alpha_bar_rate(self, t: Tensor) -> Tensor:
        return -(self.first + (self.last - self.first) * t)

    def time_of_log_alpha_bar(self, log_alpha_bar: Tensor) -> Tensor:
        root = (self.first**2 - 2 * (self.last - self.first) * log_alpha_bar).sqrt()
        return -2 * log_alpha_bar / (self.first + root)


class CosineSchedule(VariancePreserving):
    r"""Creates the cosine schedule.

    .. math:: \bar\alpha(t) = \frac{f(t)}{f(0)}, \quad f(t) = \cos^2\Big(\frac{t + s}{1 + s} \cdot \frac{\pi}{2}\Big)

    References:
        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), equation (17)
        | https://arxiv.org/abs/2102.09672

    Arguments:
        offset: s, above 0.
    """

    def __init__(self, offset: float = 0.008) -> None:
        if not offset > 0:
            raise UserError(f"CosineSchedule's offset is {offset}, and must be above 0")
        self.offset = offset

    @property
    def span(self) -> tuple[float, float]:
        return _FIRST, float(self.time_of(_LAST_LOG_SNR))

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        # In terms of sines: near t = 0 a quotient of cosines would lose σ's digits.
        angle, start = self._angle(t), self._angle(torch.zeros_like(t))
        return torch.log1p(-angle.sin().square()) - torch.log1p(-start.sin().square())

    def log_alpha_bar_rate(self, t: Tensor) -> Tensor:
        return -math.pi / (1 + self.offset) * self._angle(t).tan()

    def time_of_log_alpha_bar(self, log_alpha_bar: Tensor) -> Tensor:
        start = self._angle(torch.zeros_like(log_alpha_bar))
        angle = (start.cos() * (0.5 * log_alpha_bar).exp()).acos()
        return angle * (2 * (1 + self.offset) / math.pi) - self.offset

    def _angle(self, t: Tensor) -> Tensor:
        return (t + self.offset) * (math.pi / (2 * (1 + self.offset)))


class SigmoidSchedule(VariancePreserving):
    r"""Creates the sigmoid schedule, with s the logistic function.

    .. math:: \bar\alpha(t) = \frac{s(b/\tau) - s((a + (b - a) t)/\tau)}{s(b/\tau) - s(a/\tau)}

    References:
        | On the Importance of Noise Scheduling for Diffusion Models (Chen, 2023), section 2.1
        | https://arxiv.org/abs/2301.10972

    Arguments:
        start: a.
        end: b, above a.
        temperature: τ, above 0.
    """

    def __init__(self, start: float = -3.0, end: float = 3.0, temperature: float = 1.0) -> None:
        if not (start < end and temperature > 0):
            raise UserError("SigmoidSchedule's start must be below its end, and its temperature above 0")
        self.start, self.end, self.temperature = start, end, temperature

    @property
    def span(self) -> tuple[float, float]:
        return _FIRST, float(self.time_of(_LAST_LOG_SNR))

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        lowest, highest = self._ends
        return torch.log1p(-(self._argument(t).sigmoid() - lowest) / (highest - lowest))

    def log_alpha_bar_rate(self, t: Tensor) -> Tensor:
        _, highest = self._ends
        s = self._argument(t).sigmoid()
        slope = s * (1 - s) * (self.end - self.start) / self.temperature
        return -slope / (highest - s)

    def time_of_log_alpha_bar(self, log_alpha_bar: Tensor) -> Tensor:
        lowest, highest = self._ends
        s = lowest - torch.expm1(log_alpha_bar) * (highest - lowest)
        return (torch.logit(s) * self.temperature - self.start) / (self.end - self.start)

    def _argument(self, t: Tensor) -> Tensor:
        return (self.start + (self.end - self.start) * t) / self.temperature

    @property
    def _ends(self) -> tuple[float, float]:
        ends = torch.tensor([self.start, self.end], dtype=torch.float64) / self.temperature
        lowest, highest = ends.sigmoid().tolist()
        return lowest, highest


class EDMSchedule(NoiseSchedule):
    r"""Creates EDM's schedule: images stay as they are, and noise grows geometrically.

    .. math:: \alpha = 1, \quad \sigma(t) = \sigma_{\min}^{1 - t} \sigma_{\max}^t

    How times are spread is none of its business: in training that is the time distribution's, in sampling the grid's.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), table 1
        | https://arxiv.org/abs/2206.00364

    Arguments:
        sigma_min: The least noise, above 0.
        sigma_max: The most.
    """

    def __init__(self, sigma_min: float = 0.002, sigma_max: float = 80.0) -> None:
        if not 0 < sigma_min < sigma_max:
            raise UserError(f"EDMSchedule's noise is {sigma_min} to {sigma_max}; 0 < sigma_min < sigma_max must hold")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def prior_std(self) -> float:
        return self.sigma_max

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), self.sigma_min * (self._slope * t).exp()

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), self._slope * self.at(t)[1]

    def time_of(self, log_snr: Tensor) -> Tensor:
        return (-0.5 * log_snr - math.log(self.sigma_min)) / self._slope

    @property
    def _slope(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)


class RectifiedFlowSchedule(NoiseSchedule):
    r"""Creates the schedule of flow matching and rectified flows: straight lines between image and noise.

    .. math:: \alpha = 1 - t, \quad \sigma = t

    References:
        | Flow Matching for Generative Modeling (Lipman et al., 2023), section 4.1, with time reversed
        | https://arxiv.org/abs/2210.02747

        | Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow (Liu, Gong & Liu, 2023)
        | https://arxiv.org/abs/2209.03003
    """

    @property
    def span(self) -> tuple[float, float]:
        return _FIRST, float(self.time_of(_LAST_LOG_SNR))

    @property
    def prior_std(self) -> float:
        return 1.0

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - t, t

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return -torch.ones_like(t), torch.ones_like(t)

    def time_of(self, log_snr: Tensor) -> Tensor:
        return (-0.5 * log_snr).sigmoid()
