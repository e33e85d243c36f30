"""What models promise that learn from images with noise in them."""

__all__ = ["SupportsDenoise", "SupportsNoise", "SupportsNoiseLosses", "SupportsStages"]

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lit_gen.contracts.batch import Generators, Shape


@runtime_checkable
class SupportsNoise(Protocol):
    """A model that learns from images x made noisy at times t from 0 to 1, x_t = α(t) x + σ(t) ε with ε ~ N(0, I)."""

    image_shape: Shape
    noise_schedule: Any
    """α and σ, a `lit_gen.functional.noise_schedule.NoiseSchedule`."""
    optimal_transport: bool
    """Whether a batch's noise is assigned to its images by the shortest ways (`lit_gen.functional.optimal_transport`),
    not independent of them."""


@runtime_checkable
class SupportsDenoise(SupportsNoise, Protocol):
    """A model that says of noisy images what image and what noise is in them."""

    def denoiser(self, label: Tensor | None = None, guidance: float | None = None) -> Callable[..., Any]:
        """Returns what says it, a `lit_gen.functional.sampler.Denoiser`.

        It maps images x_t [B, C, H, W] and their time, a number or float64 [B], to a prediction whose ``x`` and
        ``epsilon`` are E[x | x_t] and E[ε | x_t] by its best guess, [B, C, H, W], over images and noise that come
        together in training.

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
        """Yields noisy images x_t, [N, C, H, W], at each of the sampler's levels of the schedule, noise first.

        The last are those of `SupportsSample.sample` with the same arguments.
        """


@runtime_checkable
class SupportsNoiseLosses(SupportsDenoise, Protocol):
    """A model whose loss can be asked for at any level of noise."""

    time_distribution: Any
    """How often each level is trained on, a `lit_gen.functional.time_distribution.TimeDistribution`."""

    def noise_losses(self, image: Tensor, epsilon: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Returns the losses of images x [B, C, H, W] that noise ε [B, C, H, W] makes noisy, [B].

        Arguments:
            image: The images.
            epsilon: The noise.
            t: The times, float64 [B], such as the schedule admits.
            label: Class labels, shape [B], for conditional models.
        """
