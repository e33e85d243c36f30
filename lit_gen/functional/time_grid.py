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

        Raises:
            UserError: If `num` is below 1.
        """
        if num < 1:
            raise UserError(f"a sampler's steps are {num}, and must be at least 1")
        return [*(schedule.level(t) for t in self.admitted(num, schedule).tolist()), CLEAN]

    def admitted(self, num: int, schedule: NoiseSchedule) -> Tensor:
        """Returns the times at which the network is asked, from the latest to the earliest, float64.

        Of a schedule with T steps they are some of these; times that fall on one step are one.
        """
        return schedule.admissible(self.times(num, schedule)).unique().flip(0)


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

    The noise is the schedule's own where the signal stays as it is, as in EDM. Where it vanishes there is but the start
    beyond `sigma_max`: most steps would otherwise go where nothing is to be seen yet.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), equation (5)
        | https://arxiv.org/abs/2206.00364

    Arguments:
        rho: ρ, at least 1.
        sigma_min: The least noise per signal of schedules whose signal vanishes, above 0; the paper's.
        sigma_max: The most, above `sigma_min`; the paper's.
    """

    def __init__(self, rho: float = 7.0, sigma_min: float = 0.002, sigma_max: float = 80.0) -> None:
        if not rho >= 1:
            raise UserError(f"KarrasGrid's rho is {rho}, and must be at least 1")
        if not 0 < sigma_min < sigma_max:
            raise UserError(f"KarrasGrid's sigma_min is {sigma_min} and its sigma_max {sigma_max}: 0 < min < max")
        self.rho, self.sigma_min, self.sigma_max = rho, sigma_min, sigma_max

    def times(self, num: int, schedule: NoiseSchedule) -> Tensor:
        first, last = schedule.log_snr(torch.tensor(schedule.span, dtype=torch.float64)).tolist()
        least, most = math.exp(-0.5 * first), math.exp(-0.5 * last)
        beyond = []
        if schedule.level(schedule.span[1]).alpha < 1:
            beyond = [schedule.span[1]] if most > self.sigma_max else []
            least, most = max(least, self.sigma_min), min(most, self.sigma_max)
        low, high = (s ** (1 / self.rho) for s in (least, most))
        root = torch.linspace(high, low, num - len(beyond), dtype=torch.float64)
        times = schedule.time_of(-2 * self.rho * root.log())
        return torch.cat([torch.tensor(beyond, dtype=torch.float64), times])
