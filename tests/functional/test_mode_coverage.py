"""Measures of coverage against closed forms and scipy."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from lit_gen.functional.mode_coverage import (
    MIN_MASS,
    cell_centres,
    cell_masses,
    cell_shares,
    covariance_error,
    high_quality_share,
    js_divergence,
    kl_divergence,
    mean_error,
    mode_counts,
    modes_found,
)
from lit_gen.functional.worlds import Gaussian, Mixture1D, Ring


def test_points_count_for_the_nearest_mode_within_three_sigmas() -> None:
    modes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]])
    points = torch.tensor([[0.29, 0.0], [0.31, 0.0], [0.0, -0.28], [0.9, 0.1], [5.0, 5.0], [math.nan, 0.0]])
    counts = mode_counts(points, modes, std=0.1)
    assert counts.tolist() == [2, 1, 0]
    assert mode_counts(points, modes, std=0.1, sigmas=2.0).tolist() == [0, 1, 0]
    assert high_quality_share(counts, 6) == 0.5


def test_a_mode_is_found_from_a_tenth_of_its_fair_share_on() -> None:
    assert modes_found(torch.tensor([100, 10, 9, 0]), num=400) == 2
    assert modes_found(torch.tensor([100, 10, 9, 0]), num=400, least=0.0) == 3  # but never without a point
    assert modes_found(torch.tensor([3, 1, 0]), num=4) == 2


@pytest.mark.parametrize("world", [Ring(), Gaussian()], ids=repr)
def test_true_samples_are_of_high_quality(world) -> None:
    """Within 3σ of a Gaussian in the plane lie 1 − exp(−9/2) of its points."""
    points = world.sample(100_000, torch.Generator().manual_seed(0))
    counts = mode_counts(points, world.modes, world.std)
    assert modes_found(counts, len(points)) == len(world.modes)
    assert high_quality_share(counts, len(points)) == pytest.approx(1 - math.exp(-4.5), abs=2e-3)


def test_cells_are_counted_in_the_order_of_their_centres() -> None:
    bounds = ((-1.0, 2.0), (0.0, 1.0))
    centres = cell_centres(bounds, 6)
    for i in (0, 5, 6, 35):
        shares = cell_shares(centres[i : i + 1], bounds, 6)
        assert shares.argmax() == i and shares.sum() == 1 and shares.shape == (37,)
    outside = torch.tensor([[-1.01, 0.5], [0.0, 1.0], [math.nan, 0.5], [0.0, 0.99]])
    assert cell_shares(outside, bounds, 6)[-1] == 0.75


def test_masses_are_those_of_the_normal_distribution() -> None:
    world = Mixture1D((0.0,), std=1.0)
    masses = cell_masses(world.log_prob, ((-2.0, 2.0),), 4, fine=100)
    assert masses.tolist() == pytest.approx([0.135905, 0.341345, 0.341345, 0.135905, 0.0455], abs=1e-5)
    square = cell_masses(Gaussian((0.0, 0.0), 1.0).log_prob, ((-2.0, 2.0),) * 2, 4, fine=50)
    assert square[:-1].view(4, 4)[0, 1] == pytest.approx(0.135905 * 0.341345, abs=1e-5)
    assert square.sum() == pytest.approx(1.0)


def test_divergences_are_scipy_s() -> None:
    q, p = torch.rand(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.01
    q[3] = 0.0
    q, p = q / q.sum(), p / p.sum()
    assert kl_divergence(q, p) == pytest.approx(entropy(q.numpy(), p.numpy()))
    assert js_divergence(q, p) == pytest.approx(jensenshannon(q.numpy(), p.numpy()) ** 2)
    assert kl_divergence(p, p) == pytest.approx(0.0, abs=1e-12) == js_divergence(p, p)


def test_divergences_of_what_does_not_overlap_are_bounded() -> None:
    q, p = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert js_divergence(q, p) == pytest.approx(math.log(2.0))
    assert kl_divergence(q, p) == pytest.approx(-math.log(MIN_MASS))


def test_one_of_eight_modes_costs_log_eight() -> None:
    world = Ring()
    p = cell_masses(world.log_prob, world.bounds, 64)
    generator = torch.Generator().manual_seed(0)
    one = world.modes[0] + world.std * torch.randn(100_000, 2, generator=generator)
    assert kl_divergence(cell_shares(one, world.bounds, 64), p) == pytest.approx(math.log(8.0), abs=5e-3)
    true = cell_shares(world.sample(100_000, generator), world.bounds, 64)
    assert 0 < kl_divergence(true, p) < 5e-3


def test_errors_of_moments() -> None:
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    assert mean_error(points, torch.tensor([0.5, -0.25])) == 0.5
    truth = torch.diag(torch.tensor([2.0, 8.0])) / 3
    assert covariance_error(points, truth) == pytest.approx(0.0, abs=1e-6)
    assert covariance_error(points, 2 * truth) == pytest.approx(0.5)
    line = torch.tensor([[1.0], [-1.0]])
    assert covariance_error(line, torch.tensor([[1.0]])) == pytest.approx(1.0)
