"""The numbers that metrics are computed with."""

__all__ = ["Settings", "at_least"]

import math
from collections.abc import Collection
from dataclasses import dataclass

from lit_gen.errors import UserError


def at_least(least: int, **numbers: int | None) -> None:
    """Raises a `UserError` that names the first of some numbers that is too small; None is none."""
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UserError(f"{name} is {number}, but must be at least {least}")


@dataclass(frozen=True)
class Settings:
    """The numbers that metrics are computed with; they are part of the protocol.

    Attributes:
        seed: Seeds the private generators that draw subsets and shuffle.
        kid_subsets: The number of random subsets that the kernel distance is averaged over.
        kid_subset_size: The number of images of either side in each subset.
        is_splits: The number of parts that the Inception Score is averaged over.
        pr_neighbours: The neighbours that a ball reaches in precision and recall.
        dc_neighbours: The neighbours that a ball reaches in density and coverage.
        kid_rbf_sigma: The bandwidth of the kernel distance with a Gaussian kernel, in the unit of the features.
        cmmd_sigma: The bandwidth of CMMD, whose features have length 1.
        fid_inf_points: The number of subset sizes that the extrapolated distance is fitted to.

    Raises:
        UserError: If a number makes no sense.
    """

    seed: int = 0
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    is_splits: int = 10
    pr_neighbours: int = 3
    dc_neighbours: int = 5
    kid_rbf_sigma: float = 10.0
    cmmd_sigma: float = 10.0
    fid_inf_points: int = 15

    def __post_init__(self) -> None:
        at_least(2, kid_subset_size=self.kid_subset_size, fid_inf_points=self.fid_inf_points)
        at_least(1, kid_subsets=self.kid_subsets, is_splits=self.is_splits)
        at_least(1, pr_neighbours=self.pr_neighbours, dc_neighbours=self.dc_neighbours)
        for name, sigma in {"kid_rbf_sigma": self.kid_rbf_sigma, "cmmd_sigma": self.cmmd_sigma}.items():
            if not 0.0 < sigma < math.inf:
                raise UserError(f"{name} is {sigma}, but must be a positive number")

    def check_generated(self, metrics: Collection[str], num: int) -> None:
        """Raises a `UserError` if metrics cannot be computed of so few generated images."""
        if "is" in metrics and num < self.is_splits:
            raise UserError(f"num_samples is {num}, too few to be split into is_splits={self.is_splits} parts")
        if "fid_inf" in metrics and num < 2 * self.fid_inf_points + 20:
            raise UserError(f"num_samples is {num}, too few for fid_inf_points={self.fid_inf_points} sizes of subsets")
        if "pr" in metrics and num <= self.pr_neighbours:
            raise UserError(f"num_samples is {num}, too few for pr_neighbours={self.pr_neighbours}")

    def check_real(self, metrics: Collection[str], num: int) -> None:
        """Raises a `UserError` if metrics cannot be computed of so few real images."""
        for metric, name in (("pr", "pr_neighbours"), ("dc", "dc_neighbours")):
            if metric in metrics and num <= getattr(self, name):
                raise UserError(f"{num} real images are too few for {name}={getattr(self, name)}")
