"""Toy worlds: densities that integrate to one, samples that agree with them, known moments."""

import inspect
import math

import pytest
import torch
from scipy.stats import multivariate_normal

from lit_gen.errors import UserError
from lit_gen.functional.curved_worlds import Checkerboard, SwissRoll, TwoMoons
from lit_gen.functional.mode_coverage import cell_centres, cell_masses, cell_shares
from lit_gen.functional.worlds import Gaussian, GaussianMixture, Grid, Mixture1D, Ring, World

MIXTURES = [
    Gaussian(),
    Gaussian((0.0, -3.0), 0.3),
    Ring(),
    Ring(5, 1.0, 0.2),
    Grid(),
    Grid(2, 1.0, 0.3),
    Mixture1D(),
    Mixture1D((0.0, 3.0), 0.7, (1.0, 3.0)),
]
KNOWN: list[World] = [*MIXTURES, Checkerboard(), Checkerboard(2, 0.5)]
ALL: list[World] = [*KNOWN, TwoMoons(), SwissRoll()]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("world", KNOWN, ids=repr)
def test_the_density_integrates_to_one(world: World) -> None:
    cells = 1000 if len(world.bounds) == 2 else 100_000
    volume = math.prod((high - low) / cells for low, high in world.bounds)
    total = sum(float(world.log_prob(part).exp().sum()) for part in cell_centres(world.bounds, cells).split(1 << 16))
    assert total * volume == pytest.approx(1.0, abs=2e-3 if isinstance(world, Checkerboard) else 1e-5)


@pytest.mark.parametrize("world", [w for w in ALL if w.moments is not None], ids=repr)
def test_samples_have_the_moments_in_closed_form(world: World) -> None:
    points = world.sample(200_000, seeded()).double()
    mean, covariance = world.moments
    dim = len(world.bounds)
    assert points.shape == (200_000, dim) and mean.shape == (dim,) and covariance.shape == (dim, dim)
    deviation = covariance.diagonal().sqrt()
    assert ((points.mean(0) - mean).abs() < 5 * deviation / 200_000**0.5).all()
    estimate = torch.cov(points.T).view(dim, dim)
    # A product of two coordinates has a standard deviation of at most √3 times theirs here.
    assert ((estimate - covariance).abs() < 5 * 3**0.5 * torch.outer(deviation, deviation) / 200_000**0.5).all()


@pytest.mark.parametrize("world", KNOWN, ids=repr)
def test_samples_fall_where_the_density_says(world: World) -> None:
    """Pearson's statistic over the cells that expect ten points and more is that of a χ² distribution."""
    num, cells = 100_000, 40
    expected = num * cell_masses(world.log_prob, world.bounds, cells, fine=20)
    seen = num * cell_shares(world.sample(num, seeded(1)), world.bounds, cells)
    used = expected >= 10
    assert expected[used].sum() > 0.97 * num
    statistic = ((seen - expected)[used].square() / expected[used]).sum()
    freedom = int(used.sum())
    # The masses of a midpoint sum are not exact where squares end within cells.
    slack = 1.5 if isinstance(world, Checkerboard) else 1.0
    assert statistic < slack * (freedom + 5 * math.sqrt(2 * freedom))


@pytest.mark.parametrize("world", MIXTURES, ids=repr)
def test_mixture_densities_are_scipy_s(world: GaussianMixture) -> None:
    points = world.sample(50, seeded()).double()
    parts = [
        share * multivariate_normal(mode.numpy(), world.std**2).pdf(points.numpy())
        for share, mode in zip(world.shares.tolist(), world.modes, strict=True)
    ]
    assert torch.allclose(world.log_prob(points), torch.from_numpy(sum(parts)).log())


@pytest.mark.parametrize("world", ALL, ids=repr)
def test_a_world_is_its_arguments_and_its_points_its_seed(world: World) -> None:
    again = type(world)(**world.settings)
    assert list(world.settings) == list(inspect.signature(type(world)).parameters)
    assert repr(again) == repr(world)
    assert torch.equal(world.sample(10, seeded(3)), again.sample(10, seeded(3)))
    assert not torch.equal(world.sample(10, seeded(3)), world.sample(10, seeded(4)))
    assert world.sample(10).dtype == torch.float32
    assert world.sample(0).shape == (0, len(world.bounds)) and world.sample(0).dtype == torch.float32
    low, high = torch.tensor(world.bounds).T
    points = world.sample(20_000, seeded())
    assert ((points > low) & (points < high)).all(1).float().mean() > 0.999


def test_the_places_of_modes() -> None:
    assert Gaussian().modes.tolist() == [[5.0, 5.0]]
    ring = Ring(4, 2.0, 0.1).modes
    assert torch.allclose(ring, torch.tensor([[2.0, 0], [0, 2], [-2, 0], [0, -2]], dtype=torch.float64), atol=1e-12)
    grid = Grid()
    assert grid.modes.shape == (25, 2) and grid.modes[0].tolist() == [-4.0, -4.0] and grid.modes[-1].tolist() == [4, 4]
    assert SwissRoll().modes is None and SwissRoll().log_prob(torch.zeros(1, 2)) is None


def test_without_noise_curves_are_what_they_say() -> None:
    x, y = TwoMoons(noise=0.0).sample(1000, seeded()).T
    upper, lower = x.square() + y.square(), (x - 1).square() + (y - 0.5).square()
    assert (((upper - 1).abs() < 1e-5) & (y >= 0) | ((lower - 1).abs() < 1e-5) & (y <= 0.5)).all()
    radius = SwissRoll(noise=0.0).sample(1000, seeded()).norm(dim=1)
    assert radius.min() >= 1 - 1e-5 and radius.max() <= 3 + 1e-5
    assert float(radius.mean()) == pytest.approx(2.0, abs=0.1)


def test_the_checkerboard_is_empty_beside_its_squares() -> None:
    points = torch.tensor([[-1.5, -1.5], [-1.5, -0.5], [1.5, 1.5], [2.5, 2.5], [0.5, -0.5]], dtype=torch.float64)
    expected = [1 / 8, 0, 1 / 8, 0, 0]
    assert Checkerboard().log_prob(points).exp().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Ring(0), "num_modes is 0"),
        (lambda: Ring(std=0.0), "Ring's std is 0.0"),
        (lambda: Grid(side=0), "side is 0"),
        (lambda: Gaussian(()), "give 1 or 2 numbers"),
        (lambda: Gaussian((1.0, 2.0, 3.0)), "give 1 or 2 numbers"),
        (lambda: Mixture1D((1.0, 2.0), weights=(1.0,)), "weights"),
        (lambda: Checkerboard(3), "even number"),
        (lambda: TwoMoons(-1.0), "noise is -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(make, named) -> None:
    with pytest.raises(UserError, match=named):
        make()
