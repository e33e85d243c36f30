r"""How much of an image and how much noise there is at each time: what all diffusion models share.

Time t runs from 0, where there are data, to 1, where there is noise. An image x and noise ε ~ N(0, I) make

.. math:: x_t = \alpha(t) \, x + \sigma(t) \, \epsilon

and the signal-to-noise ratio :math:`\mathrm{SNR}(t) = \alpha^2(t) / \sigma^2(t)` falls all the way.

References:
    | Variational Diffusion Models (Kingma, Salimans, Poole & Ho, 2021), section 3
    | https://arxiv.org/abs/2107.00630
"""

__all__ = ["CLEAN", "Level", "NoiseSchedule", "VariancePreserving"]

import abc
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Level(NamedTuple):
    """A time, and what holds there.

    Attributes:
        t: The time, in [0, 1].
        alpha: The share α of the image.
        sigma: The noise's standard deviation σ.
        alpha_rate: dα/dt.
        sigma_rate: dσ/dt.
    """

    t: float
    alpha: float
    sigma: float
    alpha_rate: float = 0.0
    sigma_rate: float = 0.0


CLEAN = Level(0.0, 1.0, 0.0)
"""Where every chain ends: an image without noise."""


class NoiseSchedule(abc.ABC):
    """A pair of functions α(t) and σ(t), a value that a model is given; times are float64, of any shape.

    Attributes:
        steps: How many times T there are, i/T for i from 1 to T, or None if all of `span` are.
    """

    steps: int | None = None

    @abc.abstractmethod
    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Returns α and σ at times t."""

    @abc.abstractmethod
    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Returns dα/dt and dσ/dt at times t."""

    @abc.abstractmethod
    def time_of(self, log_snr: Tensor) -> Tensor:
        """Returns the times at which log α²/σ² has these values."""

    @property
    @abc.abstractmethod
    def span(self) -> tuple[float, float]:
        """The first and the last time at which a network is asked; at the last, hardly anything of the image is left.

        The log-SNR is finite at both.
        """

    @property
    @abc.abstractmethod
    def prior_std(self) -> float:
        """The standard deviation of the noise that samples start from."""

    def log_snr(self, t: Tensor) -> Tensor:
        """Returns log α²/σ² at times t."""
        alpha, sigma = self.at(t)
        return 2 * (alpha.log() - sigma.log())

    def rates_by_log_snr(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Returns dα/dλ and dσ/dλ at times t, λ being the log-SNR.

        Differential equations are solved over λ: these rates are smooth and bounded for every schedule, those over time
        jump from step to step of a table, and may be infinite at its end.
        """
        (alpha, sigma), (alpha_rate, sigma_rate) = self.at(t), self.rates(t)
        log_snr_rate = 2 * (alpha_rate / alpha - sigma_rate / sigma)
        return alpha_rate / log_snr_rate, sigma_rate / log_snr_rate

    def admissible(self, t: Tensor) -> Tensor:
        """Moves times in [0, 1] to such as a network is asked at: into `span`, or up to the next of the T steps."""
        if self.steps is None:
            return t.clamp(*self.span)
        # What is a step but for rounding stays that step.
        return ((t * self.steps - 1e-9).ceil() / self.steps).clamp(*self.span)

    def level(self, t: float) -> Level:
        """Returns all that holds at a time."""
        time = torch.tensor(t, dtype=torch.float64)
        return Level(t, *(float(value) for value in (*self.at(time), *self.rates(time))))


class VariancePreserving(NoiseSchedule, abc.ABC):
    r"""A schedule with :math:`\alpha^2 + \sigma^2 = 1`, given by :math:`\log \bar\alpha(t) = \log \alpha^2(t)`."""

    @abc.abstractmethod
    def log_alpha_bar(self, t: Tensor) -> Tensor:
        """Returns log ᾱ at times t, from 0 downwards."""

    @abc.abstractmethod
    def log_alpha_bar_rate(self, t: Tensor) -> Tensor:
        """Returns d log ᾱ/dt, below 0."""

    @abc.abstractmethod
    def time_of_log_alpha_bar(self, log_alpha_bar: Tensor) -> Tensor:
        """Undoes `log_alpha_bar`."""

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        log_alpha_bar = self.log_alpha_bar(t)
        return (0.5 * log_alpha_bar).exp(), (-torch.expm1(log_alpha_bar)).sqrt()

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.at(t)
        half = 0.5 * self.log_alpha_bar_rate(t)
        return alpha * half, -alpha.square() * half / sigma

    def time_of(self, log_snr: Tensor) -> Tensor:
        return self.time_of_log_alpha_bar(-softplus(-log_snr, threshold=40.0))  # ᾱ = sigmoid(log SNR)

    @property
    def prior_std(self) -> float:
        return 1.0
