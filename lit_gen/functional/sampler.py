r"""What all samplers of diffusion models have in common: a chain of steps from noise down to an image.

A denoiser says of x_t what the image x and the noise ε in it are, by its best guess; a sampler makes x_s of them, at an
earlier time s. The last step, to where there is no noise, gives the guessed image whatever the sampler.
"""

__all__ = ["Denoiser", "Noise", "Prediction", "Sampler", "State", "clipped", "masked_chain"]

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from lit_gen.functional.named_settings import named_settings
from lit_gen.functional.noise_schedule import Level, NoiseSchedule
from lit_gen.functional.time_grid import TimeGrid


class Prediction(NamedTuple):
    """What a denoiser says of images x_t.

    Attributes:
        x: The image, [B, …].
        epsilon: The noise, [B, …].
        between: Where the reverse variance lies, from 0 (least) to 1 (most), [B, …], if that is learned.
    """

    x: Tensor
    epsilon: Tensor
    between: Tensor | None = None


@dataclass(frozen=True)
class Denoiser:
    """A schedule, and what guesses images and noise by it.

    Arguments:
        schedule: The noise schedule.
        predict: Maps images x_t [b, …], their times, float64 [b], and their places in the batch, [b] or None for all,
            to what they are made of.
    """

    schedule: NoiseSchedule
    predict: Callable[[Tensor, Tensor, Tensor | None], Prediction]

    def __call__(self, x_t: Tensor, t: float | Tensor, rows: Tensor | None = None) -> Prediction:
        """Returns what images x_t [b, …] are made of.

        Arguments:
            x_t: The images.
            t: Their time: one for all, or float64 [b].
            rows: Which images of the batch they are, [b], if not all.
        """
        if not isinstance(t, Tensor):
            t = torch.full((len(x_t),), t, dtype=torch.float64, device=x_t.device)
        return self.predict(x_t, t, rows)


Noise: TypeAlias = Callable[[], Tensor]
"""Draws N(0, I) of the images' shape."""


class State(NamedTuple):
    """Where a chain stands.

    Attributes:
        x: The images x_t, [B, …].
        level: Their level of noise.
        before: The level of the step before and the image predicted there, of samplers that remember it.
    """

    x: Tensor
    level: Level
    before: tuple[Level, Tensor] | None = None


class Sampler(abc.ABC):
    """A way from noise to images, a value that a model is given; derived classes take `steps` and `grid` and keep them.

    Attributes:
        steps: The number of steps N.
        grid: How their times are spread.
        is_random: Whether there is noise on the way, or none but that at the start.
        order: How errors fall: as N to minus this power.
    """

    steps: int
    grid: TimeGrid
    is_random: bool = False
    order: int = 1

    def __repr__(self) -> str:
        return named_settings(self)

    @abc.abstractmethod
    def step(self, state: State, to: Level, denoise: Denoiser, noise: Noise) -> State:
        """Goes one step on.

        Arguments:
            state: Where the chain stands.
            to: The level to go to, of less noise.
            denoise: The denoiser.
            noise: The source of noise.
        """

    def levels(self, schedule: NoiseSchedule) -> list[Level]:
        """Returns the levels of the chain, from noise to none."""
        return self.grid.levels(self.steps, schedule)

    def chain(self, x: Tensor, levels: Sequence[Level], denoise: Denoiser, noise: Noise) -> Iterator[State]:
        """Yields the states of a chain of images x [B, …] at the first level, this one first."""
        state = State(x, levels[0])
        yield state
        for level in levels[1:]:
            state = self.step(state, level, denoise, noise)
            yield state


def clipped(prediction: Prediction, x_t: Tensor, level: Level, clip: bool) -> Prediction:
    """Moves the predicted image into [−1, 1], if that is wanted, and makes the noise fit it."""
    if not clip:
        return prediction
    x = prediction.x.clamp(-1, 1)
    return Prediction(x, (x_t - level.alpha * x) / level.sigma, prediction.between)


def masked_chain(
    sampler: Sampler,
    x: Tensor,
    levels: Sequence[Level],
    denoise: Denoiser,
    noise: Noise,
    image: Tensor,
    known: Tensor,
) -> Iterator[State]:
    """Yields the states of a chain that has a known part, made as noisy as the rest after every step.

    Arguments:
        sampler: The sampler.
        x: Noise, [B, …].
        levels: The chain's levels.
        denoise: The denoiser.
        noise: The source of noise.
        image: The images that are known in part, [B, …].
        known: Where they are, bool, of a shape that goes with theirs.
    """
    state = State(x, levels[0])
    for level in levels[1:]:
        state = sampler.step(state, level, denoise, noise)
        noisy = level.alpha * image + level.sigma * noise() if level.sigma else image
        state = state._replace(x=torch.where(known, noisy, state.x))
        yield state
