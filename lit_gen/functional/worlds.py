r"""Toy worlds: distributions of points whose truth is known, for seeing what a generative model gets right or wrong.

A world is a value: it is described by its constructor's arguments. Mixtures of K Gaussians with one standard deviation,

.. math:: p(x) = \sum_k w_k \, N(x; \mu_k, \sigma^2 I),

are the ones on which modes can be counted.
"""

__all__ = ["Gaussian", "GaussianMixture", "Grid", "Mixture1D", "Ring", "World"]

import abc
import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.errors import UserError


class World(abc.ABC):
    """What points come from; derive from it, and keep every constructor argument in an attribute of the same name."""

    @property
    @abc.abstractmethod
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """The lowest and the highest value of each of the D coordinates, between which nearly all points lie."""

    @abc.abstractmethod
    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws points, float32 [num, D]."""

    def log_prob(self, points: Tensor) -> Tensor | None:
        """Returns log p of points [N, D] in nats, shape [N]; None where the density is not known."""
        return None

    def noisy_score(self, points: Tensor, alpha: float, sigma: float) -> Tensor | None:
        """Returns ∇ log p_t of points [N, D], p_t being the density of α x + σ ε, ε ~ N(0, I); None if not known."""
        return None

    @property
    def modes(self) -> Tensor | None:
        """The modes' places, float64 [K, D], or None where there are no separate modes."""
        return None

    @property
    def moments(self) -> tuple[Tensor, Tensor] | None:
        """The mean [D] and the covariance [D, D], float64, or None where they are not known."""
        return None

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, enough to make the world again."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


class GaussianMixture(World):
    """A mixture of round Gaussians of one width; concrete worlds say where they lie, and how much each weighs."""

    std: float

    @property
    @abc.abstractmethod
    def modes(self) -> Tensor:
        """The Gaussians' means, float64 [K, D]."""

    @property
    def shares(self) -> Tensor:
        """The Gaussians' weights, which sum to 1, float64 [K]."""
        return torch.full((len(self.modes),), 1.0 / len(self.modes), dtype=torch.float64)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        modes, margin = self.modes, 5.0 * self.std
        spread = (modes.amax(0) - modes.amin(0)).max().item()
        margin = max(margin, 0.15 * spread)  # so that points that miss the modes are seen too
        return tuple(
            (low - margin, high + margin)
            for low, high in zip(modes.amin(0).tolist(), modes.amax(0).tolist(), strict=True)
        )

    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        modes = self.modes.float()
        if not num:  # which multinomial refuses
            return modes[:0]
        index = torch.multinomial(self.shares, num, replacement=True, generator=generator)
        return modes[index] + self.std * torch.randn(num, modes.shape[1], generator=generator)

    def log_prob(self, points: Tensor) -> Tensor:
        """Returns log p of points [N, D] in nats, shape [N]."""
        modes, log_shares = self.modes.to(points), self.shares.to(points).log()
        exponents = -0.5 * ((points[:, None] - modes) / self.std).square().sum(2)
        constant = modes.shape[1] * math.log(self.std * math.sqrt(2.0 * math.pi))
        return torch.logsumexp(log_shares + exponents, dim=1) - constant

    def noisy_score(self, points: Tensor, alpha: float, sigma: float) -> Tensor:
        """Returns ∇ log p_t of points [N, D], p_t being the density of α x + σ ε, ε ~ N(0, I): a mixture as well."""
        towards = alpha * self.modes.to(points) - points[:, None]
        variance = (alpha * self.std) ** 2 + sigma**2
        exponents = self.shares.to(points).log() - 0.5 * towards.square().sum(2) / variance
        return (exponents.softmax(1)[:, :, None] * towards).sum(1) / variance

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean [D] and the covariance [D, D], float64."""
        modes, shares = self.modes, self.shares
        mean = shares @ modes
        centred = modes - mean
        inside = self.std**2 * torch.eye(modes.shape[1], dtype=torch.float64)
        return mean, centred.T @ (shares[:, None] * centred) + inside


class Gaussian(GaussianMixture):
    """Creates one Gaussian bump.

    Arguments:
        mean: Its mean, a number per coordinate, of which there are one or two.
        std: Its standard deviation in every direction.
    """

    def __init__(self, mean: Sequence[float] = (5.0, 5.0), std: float = 1.0) -> None:
        if len(mean) not in (1, 2):
            raise UserError(
                f"Gaussian's mean is {list(mean)}; worlds lie on a line or in the plane: give 1 or 2 numbers"
            )
        self.mean, self.std = tuple(mean), _positive("Gaussian", "std", std)

    @property
    def modes(self) -> Tensor:
        """The mean, float64 [1, D]."""
        return torch.tensor([self.mean], dtype=torch.float64)


class Ring(GaussianMixture):
    """Creates Gaussians of equal weight on a circle, of which the first lies at (radius, 0).

    References:
        | Unrolled Generative Adversarial Networks (Metz et al., 2017), section 3.1
        | https://arxiv.org/abs/1611.02163

    Arguments:
        num_modes: The number of Gaussians.
        radius: The circle's radius.
        std: The Gaussians' standard deviation.
    """

    def __init__(self, num_modes: int = 8, radius: float = 2.0, std: float = 0.05) -> None:
        if num_modes < 1:
            raise UserError(f"Ring's num_modes is {num_modes}, and must be at least 1")
        self.num_modes = num_modes
        self.radius, self.std = _positive("Ring", "radius", radius), _positive("Ring", "std", std)

    @property
    def modes(self) -> Tensor:
        """The Gaussians' means, float64 [K, 2], counter-clockwise."""
        angle = torch.arange(self.num_modes, dtype=torch.float64) * (2.0 * math.pi / self.num_modes)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)


class Grid(GaussianMixture):
    """Creates Gaussians of equal weight on a square grid around the origin.

    References:
        | VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning (Srivastava et al., 2017)
        | https://arxiv.org/abs/1705.07761

    Arguments:
        side: The Gaussians per row and column.
        spacing: The distance between neighbours.
        std: The Gaussians' standard deviation.
    """

    def __init__(self, side: int = 5, spacing: float = 2.0, std: float = 0.05) -> None:
        if side < 1:
            raise UserError(f"Grid's side is {side}, and must be at least 1")
        self.side = side
        self.spacing, self.std = _positive("Grid", "spacing", spacing), _positive("Grid", "std", std)

    @property
    def modes(self) -> Tensor:
        """The Gaussians' means, float64 [side², 2], row by row."""
        places = (torch.arange(self.side, dtype=torch.float64) - (self.side - 1) / 2) * self.spacing
        return torch.cartesian_prod(places, places).view(-1, 2)


class Mixture1D(GaussianMixture):
    """Creates Gaussians on a line.

    Arguments:
        means: Their means.
        std: Their standard deviation.
        weights: Their weights, above 0, which need not sum to 1; None weighs them equally.
    """

    def __init__(
        self, means: Sequence[float] = (-4.0, 0.0, 4.0), std: float = 0.5, weights: Sequence[float] | None = None
    ) -> None:
        if weights is not None and (len(weights) != len(means) or min(weights) <= 0):
            raise UserError(f"Mixture1D's weights are {list(weights)}; one above 0 is needed for each of {list(means)}")
        if not means:
            raise UserError("Mixture1D's means are empty; give at least one")
        self.means, self.std = tuple(means), _positive("Mixture1D", "std", std)
        self.weights = None if weights is None else tuple(weights)

    @property
    def modes(self) -> Tensor:
        """The Gaussians' means, float64 [K, 1]."""
        return torch.tensor(self.means, dtype=torch.float64)[:, None]

    @property
    def shares(self) -> Tensor:
        """The Gaussians' weights, which sum to 1, float64 [K]."""
        weights = torch.tensor(self.weights or [1.0] * len(self.means), dtype=torch.float64)
        return weights / weights.sum()


def _positive(owner: str, name: str, value: float) -> float:
    if not value > 0:
        raise UserError(f"{owner}'s {name} is {value}, and must be above 0")
    return value
