"""At which times a sampler asks the network."""

__all__ = ["KarrasGrid", "QuadraticGrid", "TimeGrid", "UniformGrid"]

import abc
import math

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.named_settings import named_settings
from lit_gen.functional.noise_schedule import CLEAN, Level, NoiseSchedule


class TimeGrid(abc.ABC):
    """A way of spreading N times, a value that a sampler is given."""

    def __repr__(self) -> str:
        return named_settings(self)

    @abc.abstractmethod
    def times(self, num: int, schedule: NoiseSchedule) -> Tensor:
        """Returns N times from the latest to the earliest, float64 [num]."""

    def levels(self, num: int, schedule: NoiseSchedule) -> list[Level]:
        """Returns the levels of these times, and `CLEAN` at their end.

        Of a schedule with T steps they are some of these; times that fall on one step are one.

        Raises:
            UserError: If `num` is below 1.
        """
        if num < 1:
            raise UserError(f"a sampler's steps are {num}, and must be at least 1")
        times = schedule.admissible(self.times(num, schedule)).unique().flip(0)
        return [*(schedule.level(t) for t in times.tolist()), CLEAN]


class UniformGrid(TimeGrid):
    """Creates the times i/N."""

    def times(self, num: int, schedule: NoiseSchedule) -> Tensor:
        return torch.arange(num, 0, -1, dtype=torch.float64) / num


class QuadraticGrid(TimeGrid):
    """Creates the times (i/N)², which are closest where there is little noise.

    References:
        | Denoising Diffusion Implicit Models (Song, Meng & Ermon, 2021), appendix D.2
        | https://arxiv.org/abs/2010.02502
    """

    def times(self, num: int, schedule: NoiseSchedule) -> Tensor:
        return (torch.arange(num, 0, -1, dtype=torch.float64) / num).square()


class KarrasGrid(TimeGrid):
    r"""Creates times at which the noise per signal :math:`s = \sigma/\alpha` has even steps of :math:`s^{1/\rho}`.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), equation (5)
        | https://arxiv.org/abs/2206.00364

    Arguments:
        rho: ρ, at least 1.
    """

    def __init__(self, rho: float = 7.0) -> None:
        if not rho >= 1:
            raise UserError(f"KarrasGrid's rho is {rho}, and must be at least 1")
        self.rho = rho

    def times(self, num: int, schedule: NoiseSchedule) -> Tensor:
        first, last = schedule.log_snr(torch.tensor(schedule.span, dtype=torch.float64)).tolist()
        low, high = (math.exp(-0.5 * log_snr / self.rho) for log_snr in (first, last))
        root = torch.linspace(high, low, num, dtype=torch.float64)
        return schedule.time_of(-2 * self.rho * root.log())
