r"""Noise schedules of T discrete steps, :math:`\bar\alpha_i = \prod_{j \le i} (1 - \beta_j)` at t = i/T.

Between the steps, where only solvers of differential equations ask, log ᾱ is linear.
"""

__all__ = ["Discretised", "LinearBetas"]

import abc

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import VariancePreserving


class _Tabulated(VariancePreserving, abc.ABC):
    steps: int

    def __init__(self, betas: Tensor) -> None:
        table = torch.log1p(-betas.double()).cumsum(0)
        table = torch.cat([table.new_zeros(1), table])
        # Copied to each device once: every copy from a CPU's memory waits for the device.
        self._tables = {table.device: table}

    @property
    def span(self) -> tuple[float, float]:
        return 1 / self.steps, 1.0

    def log_alpha_bar(self, t: Tensor) -> Tensor:
        table, i = self._table_on(t.device), self._step(t)
        return table[i] + (table[i + 1] - table[i]) * (t * self.steps - i)

    def log_alpha_bar_rate(self, t: Tensor) -> Tensor:
        table, i = self._table_on(t.device), self._step(t)
        return (table[i + 1] - table[i]) * self.steps

    def time_of_log_alpha_bar(self, log_alpha_bar: Tensor) -> Tensor:
        table = self._table_on(log_alpha_bar.device)
        i = (torch.searchsorted(-table, -log_alpha_bar.contiguous()) - 1).clamp(0, self.steps - 1)
        return (i + (log_alpha_bar - table[i]) / (table[i + 1] - table[i])) / self.steps

    def _table_on(self, device: torch.device) -> Tensor:
        if device not in self._tables:
            self._tables[device] = next(iter(self._tables.values())).to(device)
        return self._tables[device]

    def _step(self, t: Tensor) -> Tensor:
        """Returns how many steps lie before the one that ends at or after t."""
        return ((t * self.steps - 1e-9).ceil() - 1).clamp(0, self.steps - 1).long()


class LinearBetas(_Tabulated):
    r"""Creates DDPM's schedule: T steps whose variances β grow linearly.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), section 4
        | https://arxiv.org/abs/2006.11239

    Arguments:
        steps: The number of steps T.
        first: β₁, above 0.
        last: β_T, from β₁ on, below 1.
    """

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> None:
        if steps < 2 or not 0 < first <= last < 1:
            raise UserError("LinearBetas' steps must be 2 or more, and 0 < first <= last < 1 must hold")
        self.steps, self.first, self.last = steps, first, last
        super().__init__(torch.linspace(first, last, steps, dtype=torch.float64))


class Discretised(_Tabulated):
    r"""Creates T steps of a schedule in continuous time, :math:`\beta_i = 1 - \bar\alpha(i/T) / \bar\alpha((i-1)/T)`.

    References:
        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), section 3.2
        | https://arxiv.org/abs/2102.09672

    Arguments:
        schedule: The schedule, one that preserves variance.
        steps: The number of steps T.
        max_beta: The most that β is.
    """

    def __init__(self, schedule: VariancePreserving, steps: int = 1000, max_beta: float = 0.999) -> None:
        if steps < 2 or not 0 < max_beta < 1:
            raise UserError("Discretised's steps must be 2 or more, and its max_beta between 0 and 1")
        self.schedule, self.steps, self.max_beta = schedule, steps, max_beta
        times = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        log_alpha_bar = schedule.log_alpha_bar(times).clamp(min=-700.0)
        super().__init__((-torch.expm1(log_alpha_bar.diff())).clamp(max=max_beta))
