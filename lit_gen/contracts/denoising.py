"""What models promise that learn from images with noise in them."""

__all__ = ["SupportsDenoise", "SupportsNoise", "SupportsNoiseLosses", "SupportsStages"]

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Batch, Generators, Shape


@runtime_checkable
class SupportsNoise(Protocol):
    """A model that learns from what is made noisy at times t from 0 to 1: x_t = α(t) x + σ(t) ε with ε ~ N(0, I).

    x is an image, or what another model makes of it.
    """

    image_shape: Shape
    noise_schedule: Any
    """α and σ, a `lit_gen.functional.noise_schedule.NoiseSchedule`."""
    optimal_transport: bool
    """Whether a batch's noise is assigned to its x by the shortest ways (`lit_gen.functional.optimal_transport`), not
    independent of them."""

    @property
    def noise_is_independent(self) -> bool:
        """Whether noise is drawn apart from x in training: neither assigned to it, nor part of a pair."""

    def observed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Returns x, [B, D, h, w], of a batch, and its labels [B] if the model is conditional."""

    def shown(self, x: Tensor) -> Tensor:
        """Maps x [B, D, h, w] to images, about in [−1, 1], [B, C, H, W], or points."""


@runtime_checkable
class SupportsDenoise(SupportsNoise, Protocol):
    """A model that says of noisy x_t what x and what noise is in it."""

    def denoiser(self, label: Tensor | None = None, guidance: float | None = None) -> Callable[..., Any]:
        """Returns what says it, a `lit_gen.functional.sampler.Denoiser`.

        It maps x_t [B, D, h, w] and their time, a number or float64 [B], to a prediction whose ``x`` and ``epsilon``
        are E[x | x_t] and E[ε | x_t] by its best guess, [B, D, h, w], over x and noise that come together in training.

        Arguments:
            label: Class labels, shape [B], for conditional models.
            guidance: How far the guesses follow their labels, 1 being those of the labels themselves; as far as the
                model's samples by default.
        """


@runtime_checkable
class SupportsStages(SupportsDenoise, Protocol):
    """A model whose images can be watched while they come out of noise."""

    sampler: Any
    """The way from noise to images, a `lit_gen.functional.sampler.Sampler`."""

    def sample_stages(
        self, num: int, label: Tensor | None = None, generator: Generators | None = None
    ) -> Iterator[Tensor]:
        """Yields x_t, [N, D, h, w], at each of the sampler's levels of the schedule, noise first.

        The last are shown as the images of `SupportsSample.sample` with the same arguments.
        """


@runtime_checkable
class SupportsNoiseLosses(SupportsDenoise, Protocol):
    """A model whose loss can be asked for at any level of noise."""

    time_distribution: Any
    """How often each level is trained on, a `lit_gen.functional.time_distribution.TimeDistribution`."""

    def noise_losses(self, x: Tensor, epsilon: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns the losses of x that noise makes noisy, [B].

        Arguments:
            x: What is made noisy, [B, D, h, w].
            epsilon: The noise, [B, D, h, w].
            t: The times, float64 [B], such as the schedule admits.
            label: Class labels, shape [B], for conditional models.
        """
