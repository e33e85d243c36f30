"""How probable a diffusion model says an image is: as a value, a bound or the probability flow."""

__all__ = ["DiffusionLikelihood", "ProbabilityFlow", "VariationalBound"]

import abc
import itertools
import math
from typing import Literal

import torch
from torch import Tensor

from lit_gen.contracts import Generators
from lit_gen.errors import UserError
from lit_gen.functional.adaptive_ode import solve
from lit_gen.functional.noise import rand, randn
from lit_gen.functional.noise_schedule import NoiseSchedule
from lit_gen.functional.reverse_step import ReverseVariance, step_between
from lit_gen.functional.sampler import Denoiser
from lit_gen.functional.time_grid import TimeGrid, UniformGrid
from lit_gen.functional.variational_bound import bound_term, prior_divergence


class DiffusionLikelihood(abc.ABC):
    """A way of asking a denoiser for log-probabilities, a value that a model is given.

    Attributes:
        of_points: Whether it can be asked about points, which are continuous and have no bounds.
    """

    of_points: bool = False

    @abc.abstractmethod
    def what(self, schedule: NoiseSchedule) -> str:
        """Returns what of images the log-probabilities are, a few words."""

    @abc.abstractmethod
    def log_prob(self, image: Tensor, denoise: Denoiser, generator: Generators | None) -> Tensor:
        """Returns log P of images [B, C, H, W] in nats, [B]: of 8-bit ones, or a density of points (one pixel each)."""


class VariationalBound(DiffusionLikelihood):
    r"""Creates the variational bound of a chain of N steps, with a draw of noise at each.

    .. math:: \log p(x) \ge E_q[\log p(x | x_1)] - \sum_{i > 1} \mathrm{KL}(q(x_{i-1} | x_i, x) \,\|\, p(x_{i-1} | x_i))
        - \mathrm{KL}(q(x_N | x) \,\|\, p(x_N))

    References:
        | Denoising Diffusion Probabilistic Models (Ho, Jain & Abbeel, 2020), equation (5), section 3.3
        | https://arxiv.org/abs/2006.11239

    Arguments:
        steps: The number of steps N; with as many as the schedule has, the paper's bound.
        grid: How their times are spread.
        variance: The variances of the chain backwards; see `lit_gen.functional.samplers.Ancestral`.
    """

    def __init__(
        self,
        steps: int = 1000,
        grid: TimeGrid = UniformGrid(),  # noqa: B008 (a value without state)
        variance: ReverseVariance = "large",
    ) -> None:
        if steps < 1:
            raise UserError(f"VariationalBound's steps are {steps}, and must be at least 1")
        if variance not in ("large", "small", "learned"):
            raise UserError(f"VariationalBound's variance is '{variance}'; it can be large, small or learned")
        self.steps, self.grid, self.variance = steps, grid, variance

    def what(self, schedule: NoiseSchedule) -> str:
        steps = len(self.grid.admitted(self.steps, schedule))
        return f"8-bit images, variational bound of {steps} step{'s' if steps > 1 else ''}"

    def log_prob(self, image: Tensor, denoise: Denoiser, generator: Generators | None) -> Tensor:
        levels = self.grid.levels(self.steps, denoise.schedule)
        total = -prior_divergence(image, levels[0], denoise.schedule.prior_std)
        least: Tensor | None = None
        for now, to in itertools.pairwise(levels):
            step, last = step_between(now, to), not to.sigma
            if last:
                step = step._replace(least=step.most if least is None else least)
            least = step.least
            x_t = now.alpha * image + now.sigma * randn(image.shape, generator, image.device).to(image.dtype)
            total = total - bound_term(image, x_t, denoise(x_t, now.t), step, self.variance, last)
        return total


class ProbabilityFlow(DiffusionLikelihood):
    r"""Creates the likelihood of the probability flow, a continuous normalising flow from data to noise.

    .. math:: \log p(x) = \log p_1(x_1) + \int_0^1 \nabla \cdot \frac{dx_t}{dt} \, dt

    It is a density. Of 8-bit values v, uniform noise u makes y = (v + u − ½)/127.5 − 1, whose density gives the bound
    :math:`\log P(v) \ge E_u[\log p(y)] - D \log 127.5`.

    References:
        | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), equation (39)
        | https://arxiv.org/abs/2011.13456

        | FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models (Grathwohl et al., 2019)
        | https://arxiv.org/abs/1810.01367

    Arguments:
        trace: How the divergence is found: ``exact`` takes a backward pass for each of an image's numbers,
            ``hutchinson`` one, and gives an estimate without bias.
        rtol: The relative error that a solver's step may have.
        atol: The absolute error.
    """

    of_points = True

    def __init__(
        self, trace: Literal["hutchinson", "exact"] = "hutchinson", rtol: float = 1e-5, atol: float = 1e-5
    ) -> None:
        if trace not in ("hutchinson", "exact"):
            raise UserError(f"ProbabilityFlow's trace is '{trace}'; it can be hutchinson or exact")
        if min(rtol, atol) <= 0:
            raise UserError(f"ProbabilityFlow's rtol is {rtol} and its atol {atol}; both must be above 0")
        self.trace, self.rtol, self.atol = trace, rtol, atol

    def what(self, schedule: NoiseSchedule) -> str:
        return "8-bit images, probability flow with uniform dequantisation"

    def log_prob(self, image: Tensor, denoise: Denoiser, generator: Generators | None) -> Tensor:
        numbers = image[0].numel()
        if image.shape[2] * image.shape[3] == 1:
            return self.log_density(image, denoise, generator)
        u = rand(image.shape, generator, image.device).to(image.dtype)
        y = (((image + 1) * 127.5).round() + u - 0.5) / 127.5 - 1
        return self.log_density(y, denoise, generator) - numbers * math.log(127.5)

    # Callers may be in inference mode, where nothing can be differentiated.
    @torch.inference_mode(False)
    def log_density(self, x: Tensor, denoise: Denoiser, generator: Generators | None = None) -> Tensor:
        """Returns log p of x [B, …], continuous, in nats, [B]."""
        schedule, shape, numbers = denoise.schedule, x.shape[1:], x[0].numel()
        scale = schedule.level(schedule.span[0]).alpha
        start, end = schedule.log_snr(torch.tensor(schedule.span, dtype=torch.float64)).tolist()
        probe = randn(x.shape, generator, x.device).to(x.dtype).sign().flatten(1)

        def slope(log_snr: Tensor, y: Tensor, rows: Tensor) -> Tensor:
            t = schedule.time_of(log_snr)
            with torch.enable_grad():
                x_t = y[:, :-1].detach().clone().requires_grad_()
                x, epsilon, _ = denoise(x_t.unflatten(1, shape), t, rows)
                alpha_rate, sigma_rate = (rate.to(y.dtype)[:, None] for rate in schedule.rates_by_log_snr(t))
                velocity = alpha_rate * x.flatten(1) + sigma_rate * epsilon.flatten(1)
                divergence = self._divergence(velocity, x_t, probe[rows])
            return torch.cat([velocity.detach(), divergence[:, None]], dim=1)

        y = torch.cat([scale * x.flatten(1), x.new_zeros(len(x), 1)], dim=1)
        y = solve(slope, y, start, end, self.rtol, self.atol)
        z = y[:, :-1] / schedule.prior_std
        log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) - numbers * math.log(schedule.prior_std)
        return log_prior + y[:, -1] + numbers * math.log(scale)

    def _divergence(self, velocity: Tensor, x_t: Tensor, probe: Tensor) -> Tensor:
        """Returns the trace of ∂velocity/∂x_t, or probeᵀ (∂velocity/∂x_t) probe, whose mean it is, [b]."""
        if self.trace == "hutchinson":
            (product,) = torch.autograd.grad((velocity * probe).sum(), x_t)
            return (product * probe).sum(1)
        parts = [
            torch.autograd.grad(velocity[:, i].sum(), x_t, retain_graph=True)[0][:, i] for i in range(x_t.shape[1])
        ]
        return torch.stack(parts).sum(0)
