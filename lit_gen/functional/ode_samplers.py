r"""Samplers that solve the probability-flow equation :math:`dx_t = x \, d\alpha + \epsilon \, d\sigma`.

Its solutions have the same distributions at every time as the chain of noise, x and ε being what is expected of the
image and the noise given x_t.

References:
    | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), equation (13)
    | https://arxiv.org/abs/2011.13456
"""

__all__ = ["DPMSolver", "Euler", "Heun"]

import math

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import Level, NoiseSchedule
from lit_gen.functional.sampler import Denoiser, Noise, Sampler, State, clipped
from lit_gen.functional.time_grid import KarrasGrid, TimeGrid, UniformGrid


class Euler(Sampler):
    r"""Creates Euler's method in time: :math:`x_s = x_t + (s - t) (\alpha'(t) x + \sigma'(t) \epsilon)`.

    Where paths are straight, as a rectified flow's, it is the same as `DDIM`. It is not for schedules whose α falls
    infinitely fast at t = 1, as `SigmoidSchedule`'s does: such a step is refused.

    References:
        | Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow (Liu, Gong & Liu, 2023)
        | https://arxiv.org/abs/2209.03003

    Arguments:
        steps: The number of steps N.
        grid: How their times are spread.
    """

    def __init__(self, steps: int = 50, grid: TimeGrid = UniformGrid()) -> None:  # noqa: B008 (a value without state)
        self.steps, self.grid = steps, grid

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        x_t, now = state.x, state.level
        x, epsilon, _ = denoise(x_t, now.t)
        if not to.sigma:
            return State(to.alpha * x, to)
        if abs((to.t - now.t) * now.alpha_rate) > 1:
            raise UserError("Euler's steps are too long where this noise_schedule's signal comes in: take DDIM")
        return State(x_t + (to.t - now.t) * (now.alpha_rate * x + now.sigma_rate * epsilon), to)


class Heun(Sampler):
    r"""Creates EDM's sampler, Algorithm 2: the trapezoidal rule along (α, σ), after some noise is put in ("churn").

    .. math:: x_s = x_t + (\alpha_s - \alpha_t) \frac{x + x'}{2} + (\sigma_s - \sigma_t) \frac{\epsilon + \epsilon'}{2}

    with x' and ε' predicted where a step of order 1 ends; the last step is of order 1. Each other step asks the network
    twice. With α = 1 this is the paper's method, with straight paths Heun's in time.

    References:
        | Elucidating the Design Space of Diffusion-Based Generative Models (Karras et al., 2022), Algorithm 2
        | https://arxiv.org/abs/2206.00364

    Arguments:
        steps: The number of steps N.
        grid: How their times are spread.
        churn: S_churn, 0 for none; noise per signal grows by the factor 1 + min(S_churn/N, √2 − 1) before a step.
        churn_min: S_tmin, the least noise per signal at which that is done.
        churn_max: S_tmax, the most.
        churn_noise: S_noise, the standard deviation of the new noise.
    """

    order = 2

    def __init__(
        self,
        steps: int = 18,
        grid: TimeGrid = KarrasGrid(),  # noqa: B008 (a value without state)
        churn: float = 0.0,
        churn_min: float = 0.0,
        churn_max: float = math.inf,
        churn_noise: float = 1.0,
    ) -> None:
        if churn < 0 or churn_noise < 0:
            raise UserError(f"Heun's churn is {churn} and its churn_noise {churn_noise}; neither can be negative")
        self.steps, self.grid, self.churn = steps, grid, churn
        self.churn_min, self.churn_max, self.churn_noise = churn_min, churn_max, churn_noise
        self.is_random = churn > 0

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        x_t, now = self._churned(state.x, state.level, denoise.schedule, noise)
        x, epsilon, _ = denoise(x_t, now.t)
        if not to.sigma:
            return State(to.alpha * x, to)
        end = to.alpha * x + to.sigma * epsilon
        x_end, epsilon_end, _ = denoise(end, to.t)
        rise, fall = 0.5 * (to.alpha - now.alpha), 0.5 * (to.sigma - now.sigma)
        return State(x_t + rise * (x + x_end) + fall * (epsilon + epsilon_end), to)

    def _churned(self, x_t: Tensor, now: Level, schedule: NoiseSchedule, noise: Noise) -> tuple[Tensor, Level]:
        """Puts noise into images, as far as there is a level of so much noise."""
        before = now.sigma / now.alpha
        gamma = min(self.churn / self.steps, math.sqrt(2) - 1)
        if not gamma or not self.churn_min <= before <= self.churn_max:
            return x_t, now
        wanted = torch.tensor(-2 * math.log((1 + gamma) * before), dtype=torch.float64)
        level = schedule.level(float(schedule.admissible(schedule.time_of(wanted))))
        added = (level.sigma / level.alpha) ** 2 - before**2
        if added <= 0:
            return x_t, now
        return level.alpha * (x_t / now.alpha + math.sqrt(added) * self.churn_noise * noise()), level


class DPMSolver(Sampler):
    r"""Creates DPM-Solver++(2M): order 2 from one question a step, by the image that the step before predicted.

    With :math:`h = \log(\alpha_s \sigma_t / (\sigma_s \alpha_t))` and r the step before's h by this one's,

    .. math:: x_s = \frac{\sigma_s}{\sigma_t} x_t + \alpha_s (1 - e^{-h}) D,
        \quad D = \Big(1 + \frac{1}{2r}\Big) x - \frac{1}{2r} x_{\text{before}}

    The first and the last step are of order 1.

    References:
        | DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models (Lu et al., 2022), Algorithm 2
        | https://arxiv.org/abs/2211.01095

    Arguments:
        steps: The number of steps N.
        grid: How their times are spread.
        clip: Whether predicted images are moved into [−1, 1].
    """

    order = 2

    def __init__(
        self,
        steps: int = 20,
        grid: TimeGrid = KarrasGrid(),  # noqa: B008 (a value without state)
        clip: bool = False,
    ) -> None:
        self.steps, self.grid, self.clip = steps, grid, clip

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        x_t, now = state.x, state.level
        x, _, _ = clipped(denoise(x_t, now.t), x_t, now, self.clip)
        if not to.sigma:
            return State(to.alpha * x, to)
        mixed = x
        if state.before is not None:
            level, x_before = state.before
            inverse = _log_gain(now, to) / _log_gain(level, now)  # 1/r
            mixed = x + 0.5 * inverse * (x - x_before)
        shrunk = to.sigma * now.alpha / (to.alpha * now.sigma)  # e^−h
        return State(to.sigma / now.sigma * x_t + to.alpha * (1 - shrunk) * mixed, to, (now, x))


def _log_gain(now: Level, to: Level) -> float:
    return math.log(to.alpha * now.sigma / (to.sigma * now.alpha))
