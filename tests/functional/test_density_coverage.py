"""Density and coverage: points on a line, the formula in numpy, and the value for like samples."""

import math

import numpy as np
import pytest
import torch

from lit_gen.functional.density_coverage import density_coverage, expected_coverage


def test_points_on_a_line() -> None:
    """Real balls: [−1, 1], [0, 2], [1, 3] around 0, 1, 2 and [2, 18] around 10."""
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    found = density_coverage(torch.tensor([[0.5], [1.5], [50.5], [3.0], [2.75]]), real, neighbours=1)
    balls = [2, 2, 0, 2, 2]  # 0.5 in those around 0, 1; 1.5 around 1, 2; 3 and 2.75 around 2 and 10
    assert found.density.item() == sum(balls) / 5
    assert found.density_std.item() == pytest.approx(np.std(balls, ddof=1) / 5**0.5)
    assert found.coverage.item() == 1.0
    # Without 0.5 the ball around 0 is empty; without any other point, none.
    assert found.coverage_std.item() == pytest.approx(4 / 5**0.5 * np.std([0.25, 0, 0, 0, 0], ddof=1))
    none = density_coverage(torch.tensor([[50.0], [60.0]]), real, neighbours=1)
    assert [float(value) for value in none] == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("longest", [1024, 9])
def test_against_the_formula(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_gen.functional.distances._LONGEST", longest)
    random = np.random.RandomState(0)
    real, fake, k = random.randn(70, 4), 0.8 * random.randn(50, 4) + 0.5, 5
    within = np.linalg.norm(real[:, None] - real[None], axis=-1)
    inside = np.linalg.norm(real[:, None] - fake[None], axis=-1) <= np.sort(within, axis=1)[:, k, None]
    found = density_coverage(torch.from_numpy(fake), torch.from_numpy(real), k)
    assert found.density.item() == pytest.approx(inside.sum() / (k * 50), rel=1e-14)
    assert found.coverage.item() == pytest.approx(inside.any(1).mean(), rel=1e-14)
    left_out = [np.delete(inside, j, axis=1).any(1).mean() for j in range(50)]
    jackknife = math.sqrt(49 / 50 * ((left_out - np.mean(left_out)) ** 2).sum())
    assert found.coverage_std.item() == pytest.approx(jackknife, rel=1e-12) and jackknife > 0


@pytest.mark.parametrize(("num_fake", "num_real"), [(60, 60), (40, 90)])
def test_mean_for_like_samples(num_fake: int, num_real: int) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [
        density_coverage(
            torch.randn(num_fake, 3, generator=generator), torch.randn(num_real, 3, generator=generator), neighbours=2
        )
        for _ in range(500)
    ]
    coverage, density = (torch.stack([getattr(draw, name) for draw in draws]) for name in ("coverage", "density"))
    for value, expected in ((coverage, expected_coverage(num_fake, num_real, 2)), (density, 1.0)):
        assert abs(value.mean() - expected) < 4.0 * value.std() / len(draws) ** 0.5 < 0.03


def test_expected_coverage() -> None:
    n, k = 50, 3
    lemma = 1 - math.prod(n - i for i in range(1, k + 1)) / math.prod(2 * n - i for i in range(1, k + 1))
    assert expected_coverage(n, n, k) == pytest.approx(lemma, rel=1e-14)
    assert expected_coverage(10_000, 10_000) == pytest.approx(1 - 2**-5, abs=1e-3)
    assert expected_coverage(100, 4, 4) == 1.0  # the ball reaches all


def test_standard_errors_given_the_real_points() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(80, 3, generator=generator)
    draws = [density_coverage(torch.randn(60, 3, generator=generator), real) for _ in range(400)]
    density, coverage, density_std, coverage_std = (torch.stack(values) for values in zip(*draws, strict=True))
    assert density_std.square().mean().sqrt().item() == pytest.approx(density.std().item(), rel=0.15)
    spread, jackknife = coverage.std().item(), coverage_std.square().mean().sqrt().item()
    assert 0.9 * spread < jackknife < 1.5 * spread
