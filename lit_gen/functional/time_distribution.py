"""How often each level of noise is trained on."""

__all__ = ["LogNormalNoise", "LogitNormalTime", "TimeDistribution", "UniformTime"]

import abc
import math

import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.noise import rand
from lit_gen.functional.noise_schedule import NoiseSchedule


class TimeDistribution(abc.ABC):
    r"""A distribution of times, a value that a model is given; derived classes take `stratified` and keep it.

    With low discrepancy, times of a batch are not drawn one by one: one number u makes the quantiles (u + i/B) mod 1 of
    all B. Each time still has the distribution, and the batch covers it evenly.

    References:
        | Variational Diffusion Models (Kingma, Salimans, Poole & Ho, 2021), appendix I.1: low discrepancy
        | https://arxiv.org/abs/2107.00630
    """

    stratified: bool

    @abc.abstractmethod
    def quantile(self, u: Tensor, schedule: NoiseSchedule) -> Tensor:
        """Maps u in (0, 1], float64, to times."""

    def sample(self, num: int, schedule: NoiseSchedule, generator: Generators | None, device: torch.device) -> Tensor:
        """Draws times such as a network is asked at, float64, shape [num]."""
        if self.stratified:
            u = rand((num,), generator, device).double()[0]
            u = (u + torch.arange(num, device=device, dtype=torch.float64) / num) % 1.0
        else:
            u = rand((num,), generator, device).double()
        return schedule.admissible(self.quantile(1.0 - u, schedule))

    def spread(self, num: int, schedule: NoiseSchedule) -> Tensor:
        """Returns times each of which stands for an equal share of the distribution, float64 [num]."""
        u = (torch.arange(num, dtype=torch.float64) + 0.5) / num
        return schedule.admissible(self.quantile(u, schedule))


class UniformTime(TimeDistribution):
    """Creates times that are uniform, over the T steps of a schedule that has them.

    Arguments:
        stratified: Whether a batch's times have low discrepancy.
    """

    def __init__(self, stratified: bool = False) -> None:
        self.stratified = stratified

    def quantile(self, u: Tensor, schedule: NoiseSchedule) -> Tensor:
        return u


class LogitNormalTime(TimeDistribution):
    """Creates times whose logit is normal: those in the middle come most often.

    References:
        | Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (Esser et al., 2024), equation (19)
        | https://arxiv.org/abs/2403.03206

    Arguments:
        mean: The logit's mean.
        std: Its standard deviation, above 0.
        stratified: Whether a batch's times have low discrepancy.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, stratified: bool = False) -> None:
        self.mean, self.std, self.stratified = mean, _above_0("LogitNormalTime", std), stratified

    def quantile(self, u: Tensor, schedule: NoiseSchedule) -> Tensor:
        return (self.mean + self.std * _normal_quantile(u)).sigmoid()


class LogNormalNoise(TimeDistribution):
    """Creates times at which the logarithm of the noise per signal, σ/α, is normal.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), table 1
        | https://arxiv.org/abs/2206.00364

    Arguments:
        mean: The mean of ln σ/α.
        std: Its standard deviation, above 0.
        stratified: Whether a batch's times have low discrepancy.
    """

    def __init__(self, mean: float = -1.2, std: float = 1.2, stratified: bool = False) -> None:
        self.mean, self.std, self.stratified = mean, _above_0("LogNormalNoise", std), stratified

    def quantile(self, u: Tensor, schedule: NoiseSchedule) -> Tensor:
        return schedule.time_of(-2.0 * (self.mean + self.std * _normal_quantile(u)))


def _normal_quantile(u: Tensor) -> Tensor:
    # Uniform numbers are multiples of 2⁻²⁴; their largest, 1, would be infinite.
    return math.sqrt(2) * torch.erfinv(2 * u.clamp(2.0**-25, 1 - 2.0**-25) - 1)


def _above_0(owner: str, std: float) -> float:
    if not std > 0:
        raise UserError(f"{owner}'s std is {std}, and must be above 0")
    return std
