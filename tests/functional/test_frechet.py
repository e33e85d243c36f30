"""The Fréchet distance against closed forms and scipy."""

import mpmath
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from lit_gen.functional.frechet import frechet_distance, frechet_influence


def _covariance(size: int, seed: int, rank: int | None = None) -> Tensor:
    factor = torch.randn(rank or 2 * size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return factor.T @ factor / len(factor)


def _by_scipy(mean_1: Tensor, covariance_1: Tensor, mean_2: Tensor, covariance_2: Tensor) -> float:
    root = sqrtm((covariance_1 @ covariance_2).numpy()).real
    return float((mean_1 - mean_2).square().sum() + (covariance_1 + covariance_2).trace()) - 2.0 * float(root.trace())


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (3.0, 0.5), (-1.0, 0.0), (1e-3, 1e3)])
def test_one_dimension(mu: float, sigma: float) -> None:
    one = torch.ones(1, dtype=torch.float64)
    distance = frechet_distance(one * 0.0, one[:, None] * 4.0, one * mu, one[:, None] * sigma**2)
    assert distance.item() == pytest.approx(mu**2 + (2.0 - sigma) ** 2, rel=1e-12, abs=1e-12)


def test_diagonal() -> None:
    generator = torch.Generator().manual_seed(0)
    sigma_1, sigma_2, shift = torch.rand(3, 20, generator=generator, dtype=torch.float64)
    distance = frechet_distance(shift, sigma_1.square().diag(), torch.zeros_like(shift), sigma_2.square().diag())
    assert distance.item() == pytest.approx((shift.square() + (sigma_1 - sigma_2).square()).sum().item(), rel=1e-12)


def test_correlated_in_closed_form() -> None:
    # Σ and a·Σ commute, so that tr (Σ·aΣ)^½ = √a tr Σ.
    covariance, mean = _covariance(12, 0), torch.zeros(12, dtype=torch.float64)
    distance = frechet_distance(mean, covariance, mean, 9.0 * covariance)
    assert distance.item() == pytest.approx(4.0 * covariance.trace().item(), rel=1e-12)


def test_correlated_against_scipy() -> None:
    generator = torch.Generator().manual_seed(1)
    mean_1, mean_2 = torch.randn(2, 32, generator=generator, dtype=torch.float64)
    statistics = mean_1, _covariance(32, 2), mean_2, 3.0 * _covariance(32, 3)
    assert frechet_distance(*statistics).item() == pytest.approx(_by_scipy(*statistics), rel=1e-9)


def test_few_samples_in_many_dimensions() -> None:
    # Between samples x, y of N < D points the cross term is the nuclear norm of the centred x yᵀ: no covariance needed.
    generator = torch.Generator().manual_seed(4)
    scale = torch.logspace(0, -4, 200, dtype=torch.float64)
    x, y = torch.randn(2, 50, 200, generator=generator, dtype=torch.float64) * scale
    distance = frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    a, b = x - x.mean(0), y - y.mean(0)
    cross = 2.0 * torch.linalg.svdvals(a @ b.T).sum() / 49
    expected = (x.mean(0) - y.mean(0)).square().sum() + (a.square().sum() + b.square().sum()) / 49 - cross
    assert distance.item() == pytest.approx(expected.item(), rel=1e-12)


def test_singular_against_regular() -> None:
    # A point mass and a Gaussian: the cross term vanishes.
    mean, covariance = torch.ones(8, dtype=torch.float64), _covariance(8, 5)
    distance = frechet_distance(mean, covariance, -mean, torch.zeros(8, 8, dtype=torch.float64))
    assert distance.item() == pytest.approx(4.0 * 8 + covariance.trace().item(), rel=1e-12)


@pytest.mark.parametrize("rank", [None, 3])
def test_identical_is_zero(rank: int | None) -> None:
    mean, covariance = torch.ones(40, dtype=torch.float64), _covariance(40, 6, rank)
    assert frechet_distance(mean, covariance, mean, covariance).item() == pytest.approx(0.0, abs=1e-12)


def test_symmetric() -> None:
    mean = torch.zeros(16, dtype=torch.float64)
    first, second = _covariance(16, 7), _covariance(16, 8, 4)
    forth, back = frechet_distance(mean, first, mean, second), frechet_distance(mean, second, mean, first)
    assert forth.item() == pytest.approx(back.item(), rel=1e-12)


def test_nan_is_refused() -> None:
    mean, covariance = torch.zeros(2), torch.eye(2)
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(mean, covariance, mean * float("nan"), covariance)


def _by_mpmath(covariance_1: Tensor, covariance_2: Tensor) -> float:
    with mpmath.workdps(60):
        a, b = mpmath.matrix(covariance_1.tolist()), mpmath.matrix(covariance_2.tolist())
        lower = mpmath.cholesky(a)
        cross = sum(mpmath.sqrt(value) for value in mpmath.eigsy(lower.T * b * lower, eigvals_only=True))
        return float(sum(a[i, i] + b[i, i] for i in range(a.rows)) - 2 * cross)


def test_condition_of_1e12_against_sixty_digits() -> None:
    generator = torch.Generator().manual_seed(9)
    covariances = []
    for spectrum in (torch.logspace(0, -12, 12), torch.logspace(-12, 0, 12)):
        basis = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64)).Q
        covariances.append(basis @ spectrum.double().diag() @ basis.T)
        covariances[-1] = (covariances[-1] + covariances[-1].T) / 2.0
    mean = torch.zeros(12, dtype=torch.float64)
    distance = frechet_distance(mean, covariances[0], mean, covariances[1])
    assert distance.item() == pytest.approx(_by_mpmath(*covariances), rel=1e-9)


@pytest.mark.parametrize("num", [(30, 30), (30, 200), (200, 30), (200, 200), (50, 60)])
def test_points_give_what_moments_give(num: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(10)
    scale = torch.logspace(0, -2, 50, dtype=torch.float64)
    x, y = (torch.randn(n, 50, generator=generator, dtype=torch.float64) * scale for n in num)
    statistics = x.mean(0), x.T.cov(), y.mean(0) + 0.1, y.T.cov()
    by_moments, by_points = frechet_distance(*statistics), frechet_distance(*statistics, x, y)
    assert by_points.item() == pytest.approx(by_moments.item(), rel=1e-9)
    assert by_points.item() == pytest.approx(_by_scipy(*statistics), rel=1e-5)  # sqrtm's own error, without full rank


def test_influence_in_closed_form() -> None:
    # For diagonal covariances the map is σ₂/σ₁ along each axis.
    generator = torch.Generator().manual_seed(11)
    sigma_1, sigma_2, mu_1, mu_2 = torch.rand(4, 6, generator=generator, dtype=torch.float64) + 0.1
    x = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    psi = frechet_influence(x, mu_1, sigma_1.square().diag(), mu_2, sigma_2.square().diag())
    expected = 2.0 * (x - mu_1) @ (mu_1 - mu_2) + ((1.0 - sigma_2 / sigma_1) * (x - mu_1).square()).sum(1)
    torch.testing.assert_close(psi, expected - expected.mean(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num", [200, 12])
def test_influence_is_the_derivative_in_a_points_weight(num: int) -> None:
    generator = torch.Generator().manual_seed(12)
    x = torch.randn(num, 20, generator=generator, dtype=torch.float64)
    mean, covariance = torch.ones(20, dtype=torch.float64), 2.0 * _covariance(20, 13)

    def weighted(extra: float) -> float:
        weight = torch.full((num,), 1.0 / num, dtype=torch.float64)
        weight = (1.0 - extra) * weight
        weight[3] += extra
        mu = weight @ x
        sigma = (x - mu).T @ (weight[:, None] * (x - mu))
        return frechet_distance(mu, sigma, mean, covariance).item()

    mu, sigma = x.mean(0), x.T.cov(correction=0)
    psi = frechet_influence(x, mu, sigma, mean, covariance)
    assert psi[3].item() == pytest.approx((weighted(1e-5) - weighted(-1e-5)) / 2e-5, rel=1e-4)
    # The points in place of the covariance say the same but for its denominator, N − 1.
    by_points = frechet_influence(x, mu, x.T.cov(), mean, covariance, x)
    by_moments = frechet_influence(x, mu, x.T.cov(), mean, covariance)
    torch.testing.assert_close(by_points, by_moments, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("num", [2, 3, 150])
def test_points_of_the_factor_itself_need_no_equation_to_be_solved(num: int) -> None:
    generator = torch.Generator().manual_seed(14)
    x = torch.randn(num, 150, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randn(200, 150, generator=generator, dtype=torch.float64) + 1.0
    statistics = x.mean(0), None, y.mean(0), y.T.cov()
    own = frechet_influence(x, *statistics, x)
    solved = frechet_influence(x.clone(), *statistics, x)  # elsewhere in memory: any points
    torch.testing.assert_close(own, solved, rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(frechet_influence(x[:2], *statistics, x), own[:2] - own[:2].mean(), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(("num", "constant"), [(100, 0.0), (10, 0.0), (10, 3.0)])
def test_a_generator_that_knows_one_image_has_a_distance_and_no_error(num: int, constant: float) -> None:
    generator = torch.Generator().manual_seed(15)
    x, y = torch.full((num, 16), constant, dtype=torch.float64), torch.randn(50, 16, generator=generator).double()
    covariance = None if num <= 16 else x.T.cov()
    statistics = x.mean(0), covariance, y.mean(0), y.T.cov()
    points = x if covariance is None else None
    expected = (constant - y.mean(0)).square().sum() + y.T.cov().trace()
    assert frechet_distance(*statistics, points).item() == pytest.approx(expected.item(), rel=1e-9)
    assert frechet_influence(x, *statistics, points).abs().max() < 1e-9
