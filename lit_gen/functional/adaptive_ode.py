"""Ordinary differential equations solved to a tolerance, each row of a batch with steps of its own."""

__all__ = ["AdaptiveODE", "solve"]

from collections.abc import Callable

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.noise_schedule import Level
from lit_gen.functional.sampler import Denoiser, Noise, Sampler, State
from lit_gen.functional.time_grid import TimeGrid, UniformGrid

# Dormand & Prince, A family of embedded Runge-Kutta formulae (1980), table 2: RK5(4)7M.
_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_SAFETY, _SHRINK, _GROW, _MOST_STEPS = 0.9, 0.2, 5.0, 5_000


def solve(
    slope: Callable[[Tensor, Tensor, Tensor], Tensor],
    y: Tensor,
    start: float,
    end: float,
    rtol: float,
    atol: float,
) -> Tensor:
    """Solves dy/dt = slope by Dormand and Prince's method of order 5, with an error estimate of order 4.

    A row's steps follow from its own errors, root mean squares over its numbers: it does not matter what else is in the
    batch.

    Arguments:
        slope: Maps times float64 [b], rows [b, D] and their indices [b] to dy/dt, [b, D].
        y: The rows at the start, [B, D].
        start: The time at the start.
        end: The time to solve up to, later or earlier.
        rtol: The relative error that a step may have.
        atol: The absolute error.

    Raises:
        UserError: If it takes too many steps, or the slope is not finite.
    """
    time = torch.full((len(y),), start, dtype=torch.float64, device=y.device)
    size = torch.full_like(time, 0.01 * (end - start))
    todo, y = torch.arange(len(y), device=y.device), y.clone()
    first = slope(time, y, todo)
    for _ in range(_MOST_STEPS):
        if not len(todo):
            return y
        if not first[todo].isfinite().all():
            break
        t, h, now = time[todo], size[todo], y[todo]
        last = (t + h - end) * (end - start) >= 0
        h = torch.where(last, end - t, h)
        step = h.to(y.dtype)[:, None]
        slopes = [first[todo]]
        stage = now
        for node, weights in zip(_NODES[1:], _STAGES[1:], strict=True):
            stage = now + step * sum(w * k for w, k in zip(weights, slopes, strict=True) if w)
            slopes.append(slope(t + node * h, stage, todo))
        # The seventh stage is the solution itself, and its slope the first of the next step.
        error = step * sum(w * k for w, k in zip(_ERROR, slopes, strict=True) if w)
        allowed = atol + rtol * torch.maximum(now.abs(), stage.abs())
        size_of_error = (error / allowed).double().square().mean(dim=1).sqrt()
        good = size_of_error <= 1.0
        factor = (_SAFETY * size_of_error.clamp(min=1e-10) ** -0.2).clamp(_SHRINK, _GROW)
        size[todo] = h * factor.nan_to_num(_SHRINK)
        done = todo[good]
        time[done], y[done], first[done] = (t + h)[good], stage[good], slopes[-1][good]
        todo = todo[~(good & last)]
    raise UserError(
        f"a differential equation was not solved in {_MOST_STEPS} steps: the tolerances are too small for the model's "
        "precision, or the model has diverged"
    )


class AdaptiveODE(Sampler):
    r"""Creates the sampler that solves the probability-flow equation to a tolerance, in as many steps as that takes.

    References:
        | Score-Based Generative Modeling through Stochastic Differential Equations (Song et al., 2021), section 4.3
        | https://arxiv.org/abs/2011.13456

    Arguments:
        rtol: The relative error that a step may have.
        atol: The absolute error, in the data's unit.
        steps: Into how many parts the way is divided, each with steps of its own; for pictures of the way.
        grid: How these are spread.
    """

    order = 5

    def __init__(
        self,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        steps: int = 1,
        grid: TimeGrid = UniformGrid(),  # noqa: B008 (a value without state)
    ) -> None:
        if min(rtol, atol) <= 0:
            raise UserError(f"AdaptiveODE's rtol is {rtol} and its atol {atol}; both must be above 0")
        self.rtol, self.atol, self.steps, self.grid = rtol, atol, steps, grid

    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        schedule, shape = denoise.schedule, state.x.shape[1:]

        def slope(log_snr: Tensor, y: Tensor, rows: Tensor) -> Tensor:
            t = schedule.time_of(log_snr)
            x, epsilon, _ = denoise(y.unflatten(1, shape), t, rows)
            alpha_rate, sigma_rate = (rate.to(y.dtype)[:, None] for rate in schedule.rates_by_log_snr(t))
            return alpha_rate * x.flatten(1) + sigma_rate * epsilon.flatten(1)

        ends = torch.tensor([state.level.t, to.t if to.sigma else schedule.span[0]], dtype=torch.float64)
        start, end = schedule.log_snr(ends).tolist()
        y = solve(slope, state.x.flatten(1), start, end, self.rtol, self.atol)
        x = y.unflatten(1, shape)
        return State(x if to.sigma else denoise(x, schedule.span[0]).x, to)
