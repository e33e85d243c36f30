"""FID for infinitely many images: the line's intercept, and few images per feature."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.functional.frechet import frechet_distance
from lit_gen.metrics import Features, FrechetInfinity
from lit_gen.metrics.moments import Moments, moments_of

SIZE = 32
REAL = Moments(torch.zeros(SIZE, dtype=torch.float64), torch.eye(SIZE, dtype=torch.float64), 100_000)
SPREAD, SHIFT = 1.2, 0.3
TRUE = SIZE * ((SPREAD - 1.0) ** 2 + SHIFT**2)


def _draw(num: int, seed: int) -> Tensor:
    return torch.randn(num, SIZE, generator=torch.Generator().manual_seed(seed)) * SPREAD + SHIFT


def _distance(x: Tensor) -> float:
    found = moments_of(x)
    return frechet_distance(found.mean, found.covariance, REAL.mean, REAL.covariance).item()


def _infinity(x: Tensor, points: int = 15, seed: int = 0) -> float:
    metric = FrechetInfinity(REAL, points=points, seed=seed)
    metric.update(Features(x))
    return metric.compute()["fid_inf"].item()


@pytest.mark.parametrize("num", [300, 2000])  # from 2.5 images per feature; from a tenth of them
def test_intercept_is_that_of_numpy(num: int) -> None:
    x, points = _draw(num, 0), 6
    random = np.random.RandomState(3)
    sizes = np.linspace(max(num // 10, 80), num, points).astype(int)
    distances = [_distance(x[torch.from_numpy(random.choice(num, size, replace=False))]) for size in sizes]
    intercept = np.polyfit(1.0 / sizes, distances, 1)[1]
    assert _infinity(x, points, seed=3) == pytest.approx(intercept, rel=1e-9)


def test_few_images_per_feature() -> None:
    # With 9 images per feature, subsets of a tenth have covariances of less than full rank, and the intercept would
    # miss the truth by 44 % of what FID misses it by.
    draws = [_draw(300, seed) for seed in range(40)]
    fid = np.mean([_distance(x) for x in draws]) - TRUE
    infinity = np.mean([_infinity(x) for x in draws]) - TRUE
    assert fid > 1.0 and abs(infinity) < 0.2 * fid


def test_two_sizes_are_a_line() -> None:
    x = _draw(400, 1)
    half = torch.from_numpy(np.random.RandomState(0).choice(400, 80, replace=False))
    small, whole = _distance(x[half]), _distance(x)
    assert _infinity(x, points=2) == pytest.approx(whole - (small - whole) / (400 / 80 - 1.0), rel=1e-9)
