"""Toy worlds without Gaussians: moons, a roll and a checkerboard."""

__all__ = ["Checkerboard", "SwissRoll", "TwoMoons"]

import math

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.functional.worlds import World


class TwoMoons(World):
    """Creates two interleaved half circles of radius 1 with Gaussian noise, the upper one around (0, 0).

    Arguments:
        noise: The noise's standard deviation.
    """

    def __init__(self, noise: float = 0.1) -> None:
        self.noise = _not_negative("TwoMoons", noise)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        margin = max(4.0 * self.noise, 0.25)
        return (-1.0 - margin, 2.0 + margin), (-0.5 - margin, 1.0 + margin)

    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        angle = math.pi * torch.rand(num, generator=generator)
        lower = torch.rand(num, generator=generator) < 0.5
        x = torch.where(lower, 1.0 - angle.cos(), angle.cos())
        y = torch.where(lower, 0.5 - angle.sin(), angle.sin())
        return torch.stack([x, y], dim=1) + self.noise * torch.randn(num, 2, generator=generator)

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean [2] and the covariance [2, 2], float64."""
        # Over half a circle E cos = 0, E sin = 2/π, E cos² = E sin² = 1/2, E[cos·sin] = 0. The moons, of means (0, 2/π)
        # and (1, 1/2 − 2/π), have the same covariance; the rest is half the distance of their means, squared.
        half = torch.tensor([0.5, 0.25 - 2.0 / math.pi], dtype=torch.float64)
        inside = torch.diag(torch.tensor([0.5, 0.5 - 4.0 / math.pi**2], dtype=torch.float64) + self.noise**2)
        return torch.tensor([0.5, 0.25], dtype=torch.float64), inside + torch.outer(half, half)


class SwissRoll(World):
    """Creates a spiral r = t/(1.5π), t uniform in [1.5π, 4.5π], with Gaussian noise: 1½ turns from radius 1 to 3.

    Arguments:
        noise: The noise's standard deviation.
    """

    def __init__(self, noise: float = 0.05) -> None:
        self.noise = _not_negative("SwissRoll", noise)

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        extent = 3.2 + 4.0 * self.noise
        return (-extent, extent), (-extent, extent)

    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        t = 1.5 * math.pi * (1.0 + 2.0 * torch.rand(num, generator=generator))
        points = torch.stack([t * t.cos(), t * t.sin()], dim=1) / (1.5 * math.pi)
        return points + self.noise * torch.randn(num, 2, generator=generator)


class Checkerboard(World):
    """Creates the uniform distribution on every second square of a board around the origin.

    Arguments:
        squares: The squares per row and column, an even number; the lower left one is filled.
        size: The length of a square's side.
    """

    def __init__(self, squares: int = 4, size: float = 1.0) -> None:
        if squares < 2 or squares % 2:
            raise UserError(f"Checkerboard's squares are {squares}, and must be an even number from 2 up")
        if not size > 0:
            raise UserError(f"Checkerboard's size is {size}, and must be above 0")
        self.squares, self.size = squares, size

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        # An eighth of the board's side around it.
        extent = 0.5 * self.squares * self.size * 1.25
        return (-extent, extent), (-extent, extent)

    def sample(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        column = torch.randint(self.squares, (num,), generator=generator)
        pair = torch.randint(self.squares // 2, (num,), generator=generator)
        corner = torch.stack([column, 2 * pair + column % 2], dim=1)
        points = corner + torch.rand(num, 2, generator=generator)
        return (points - self.squares / 2) * self.size

    def log_prob(self, points: Tensor) -> Tensor:
        """Returns log p of points [N, 2] in nats, shape [N]: −∞ beside the filled squares."""
        place = (points / self.size + self.squares / 2).floor()
        inside = ((place >= 0) & (place < self.squares)).all(1) & (place.sum(1) % 2 == 0)
        height = -math.log(0.5 * self.squares**2 * self.size**2)
        return torch.where(inside, height, -math.inf).to(points.dtype)

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean [2] and the covariance [2, 2], float64."""
        # Each coordinate alone is uniform over the board. Given their squares they are independent, and the centres of
        # a row's filled squares lie half a square left or right of 0 on average, by the row's parity: so do the rows'.
        side = self.squares * self.size
        covariance = torch.full((2, 2), 0.25 * self.size**2, dtype=torch.float64)
        covariance.fill_diagonal_(side**2 / 12.0)
        return torch.zeros(2, dtype=torch.float64), covariance


def _not_negative(owner: str, noise: float) -> float:
    if noise < 0:
        raise UserError(f"{owner}'s noise is {noise}, and cannot be negative")
    return noise
