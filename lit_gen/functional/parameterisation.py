r"""What a diffusion model's network says: always a mixture of the image and of the noise.

With :math:`x_t = \alpha x + \sigma \epsilon`, the network's target is :math:`F = a x + b \epsilon`. Two equations in
two unknowns: with the determinant :math:`\Delta = \alpha b - \sigma a`, never 0 where α and σ are above 0,

.. math:: x = \frac{b \, x_t - \sigma F}{\Delta}, \quad \epsilon = \frac{\alpha F - a \, x_t}{\Delta}

so a network that says one of them says all of them, and an error of F is σ/\|Δ\| times as large an error of x.
"""

__all__ = [
    "DataPrediction",
    "EDMPreconditioning",
    "EpsilonPrediction",
    "Parameterisation",
    "VPrediction",
    "VelocityPrediction",
]

import abc

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import NoiseSchedule

_POSITIONS = 1000.0  # the network is told 1000 t, DDPM's step


class Parameterisation(abc.ABC):
    """What the network's target is; a value that a model is given. Times are float64 [B], and so is all about them."""

    @abc.abstractmethod
    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """Returns how much a of the image and b of the noise there is in the target, [B] each."""

    def input_scale(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Returns what images are multiplied by before the network sees them, [B]."""
        return torch.ones_like(t)

    def condition(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Returns what the network is told of the time, [B]."""
        return _POSITIONS * t

    def target(self, x: Tensor, epsilon: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Returns what the network is to say of images x and noise ε, [B, …]."""
        a, b = (_like(value, x) for value in self.mixture(t, schedule))
        return a * x + b * epsilon

    def parts(self, output: Tensor, x_t: Tensor, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        """Returns the image and the noise of which the network says `output`, [B, …] each."""
        alpha, sigma = schedule.at(t)
        a, b = self.mixture(t, schedule)
        determinant = alpha * b - sigma * a
        x_from_x_t, x_from_f = _like(b / determinant, x_t), _like(sigma / determinant, x_t)
        e_from_f, e_from_x_t = _like(alpha / determinant, x_t), _like(a / determinant, x_t)
        return x_from_x_t * x_t - x_from_f * output, e_from_f * output - e_from_x_t * x_t

    def data_error(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Returns how large an error of the image an error of the output is, squared: σ²/Δ², [B]."""
        alpha, sigma = schedule.at(t)
        a, b = self.mixture(t, schedule)
        return (sigma / (alpha * b - sigma * a)).square()


class EpsilonPrediction(Parameterisation):
    """Creates the prediction of the noise ε.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), section 3.2
        | https://arxiv.org/abs/2006.11239
    """

    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), torch.ones_like(t)


class DataPrediction(Parameterisation):
    """Creates the prediction of the image x."""

    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), torch.zeros_like(t)


class VPrediction(Parameterisation):
    r"""Creates the prediction of :math:`v = \alpha \epsilon - \sigma x`.

    References:
        | Progressive Distillation for Fast Sampling of Diffusion Models (Salimans & Ho, 2022), section 4
        | https://arxiv.org/abs/2202.00512
    """

    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        alpha, sigma = schedule.at(t)
        return -sigma, alpha


class VelocityPrediction(Parameterisation):
    r"""Creates the prediction of the velocity :math:`dx_t/dt = \alpha'(t) x + \sigma'(t) \epsilon`; ε − x of lines.

    References:
        | Flow Matching for Generative Modeling (Lipman et al., 2023), theorem 3
        | https://arxiv.org/abs/2210.02747
    """

    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        return schedule.rates(t)


class EDMPreconditioning(Parameterisation):
    r"""Creates EDM's preconditioning, for which input and target have variance 1 at every level of noise.

    With :math:`y = x_t/\alpha`, :math:`s = \sigma/\alpha` and the data's standard deviation :math:`\sigma_d`,

    .. math:: x = \frac{\sigma_d^2}{s^2 + \sigma_d^2} \, y
        + \frac{s \, \sigma_d}{\sqrt{s^2 + \sigma_d^2}} \, F\Big(\frac{y}{\sqrt{s^2 + \sigma_d^2}}, \tfrac14 \ln s\Big)

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), equation (7), table 1
        | https://arxiv.org/abs/2206.00364

    Arguments:
        data_std: σ_d, in the data's unit, above 0.
    """

    def __init__(self, data_std: float = 0.5) -> None:
        if not data_std > 0:
            raise UserError(f"EDMPreconditioning's data_std is {data_std}, and must be above 0")
        self.data_std = data_std

    def mixture(self, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
        alpha, sigma = schedule.at(t)
        scale = self.input_scale(t, schedule)
        return sigma * scale / self.data_std, -alpha * scale * self.data_std

    def input_scale(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        alpha, sigma = schedule.at(t)
        return (sigma.square() + (self.data_std * alpha).square()).rsqrt()

    def condition(self, t: Tensor, schedule: NoiseSchedule) -> Tensor:
        return -schedule.log_snr(t) / 8


def _like(values: Tensor, x: Tensor) -> Tensor:
    """Gives numbers [B] the type of images [B, …], and dimensions to be multiplied by."""
    return values.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
