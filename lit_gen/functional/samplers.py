"""Samplers of diffusion models that come from their reverse chain: ancestral sampling and DDIM."""

__all__ = ["DDIM", "Ancestral"]

import math

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import Level
from lit_gen.functional.reverse_step import ReverseVariance, step_between
from lit_gen.functional.sampler import Denoiser, Noise, Sampler, State, clipped
from lit_gen.functional.time_grid import TimeGrid, UniformGrid


class Ancestral(Sampler):
    r"""Creates DDPM's sampler, Algorithm 2: :math:`x_s \sim N(\tilde\mu(x_t, x), v)`, and no noise in the last step.

    With as many steps as the schedule has it is the paper's; with fewer, that of the chain of every k-th step.

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), Algorithm 2
        | https://arxiv.org/abs/2006.11239

        | Improved Denoising Diffusion Probabilistic Models (Nichol & Dhariwal, 2021), section 3.1, section 4
        | https://arxiv.org/abs/2102.09672

    Arguments:
        steps: The number of steps N.
        grid: How their times are spread.
        variance: The variance v: ``large`` is β, ``small`` is β̃, ``learned`` lies between, where the network says.
        clip: Whether predicted images are moved into [−1, 1].
    """

    is_random = True

    def __init__(
        self,
        steps: int = 1000,
        grid: TimeGrid = UniformGrid(),  # noqa: B008 (a value without state)
        variance: ReverseVariance = "large",
        clip: bool = False,
    ) -> None:
        if variance not in ("large", "small", "learned"):
            raise UserError(f"Ancestral's variance is '{variance}'; it can be large, small or learned")
        self.steps, self.grid, self.variance, self.clip = steps, grid, variance, clip

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        x_t, now = state.x, state.level
        x, _, between = clipped(denoise(x_t, now.t), x_t, now, self.clip)
        back = step_between(now, to)
        mean = back.mean(x_t, x)
        if not to.sigma:
            return State(mean, to)
        least, most = back.least.to(x.dtype), back.most.to(x.dtype)
        if self.variance == "learned":
            if between is None:
                raise UserError("Ancestral's variance is learned, but the model's is not: set model.learned_variance")
            log_variance = least + (most - least) * between
        else:
            log_variance = most if self.variance == "large" else least
        return State(mean + (0.5 * log_variance).exp() * noise(), to)


class DDIM(Sampler):
    r"""Creates the sampler of implicit models.

    .. math:: x_s = \alpha_s x + \sqrt{\sigma_s^2 - \eta^2 \tilde\beta} \, \epsilon + \eta \sqrt{\tilde\beta} \, z

    Without noise (η = 0) it is the exponential integrator of the probability-flow equation, of order 1; with η = 1 it
    is `Ancestral` with small variances.

    References:
        | Denoising Diffusion Implicit Models (Song, Meng & Ermon, 2021), equations (12) and (16)
        | https://arxiv.org/abs/2010.02502

    Arguments:
        steps: The number of steps N.
        eta: The share η of noise, in [0, 1].
        grid: How the steps' times are spread.
        clip: Whether predicted images are moved into [−1, 1].
    """

    def __init__(
        self,
        steps: int = 50,
        eta: float = 0.0,
        grid: TimeGrid = UniformGrid(),  # noqa: B008 (a value without state)
        clip: bool = False,
    ) -> None:
        if not 0 <= eta <= 1:
            raise UserError(f"DDIM's eta is {eta}, and must lie between 0 and 1")
        self.steps, self.eta, self.grid, self.clip = steps, eta, grid, clip
        self.is_random = eta > 0

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        x_t, now = state.x, state.level
        x, epsilon, _ = clipped(denoise(x_t, now.t), x_t, now, self.clip)
        if not to.sigma:
            return State(to.alpha * x, to)
        variance = self.eta**2 * math.exp(step_between(now, to).least)
        x_s = to.alpha * x + math.sqrt(max(to.sigma**2 - variance, 0.0)) * epsilon
        return State(x_s + math.sqrt(variance) * noise() if self.eta else x_s, to)
