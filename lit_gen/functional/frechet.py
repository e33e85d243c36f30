"""The Fréchet distance between two Gaussians, and how much of it each point is answerable for."""

__all__ = ["frechet_distance", "frechet_influence"]

from collections.abc import Iterator

import torch
from scipy.linalg import eigh, svdvals
from torch import Tensor

_BLOCK = 128  # rows that are looked at together
_EPS = torch.finfo(torch.float64).eps


class _Factor:
    """F of shape [R, D] with FᵀF equal to a covariance, R being its rank or a little more.

    Of N ≤ D points it is the centred ones after Householder's reflection that turns a row of ones into the first axis:
    the first row is then zero, and N − 1 are left, xᵢ − m / (√N − 1) with m = √N μ − x₀. The centred points themselves
    would have a row too many, and an eigenvalue that is nothing but rounding error.

    Rows are computed a few at a time: points in float64 would take as much memory as all that is made of them.
    """

    def __init__(self, covariance: Tensor | None, points: Tensor | None) -> None:
        if covariance is None or (points is not None and len(points) <= len(covariance)):
            # No more points than dimensions: no digit is lost in products.
            assert points is not None and len(points) > 1, "without a covariance there are the points it would be of"
            total = torch.stack([part.sum(dim=0, dtype=torch.float64) for part in points.split(_BLOCK)]).sum(dim=0)
            root = len(points) ** 0.5
            self.points: Tensor | None = points
            self.rows, self.scale = points[1:], (len(points) - 1) ** -0.5
            self.mean = (total / root - points[0]) / (root - 1.0)
        else:
            self.points, self.scale = None, 1.0
            self.rows, self.mean = _root(covariance), covariance.new_zeros(())

    def blocks(self) -> Iterator[Tensor]:
        """Yields F's rows, a few at a time, in float64."""
        for rows in self.rows.split(_BLOCK):
            yield (rows.to(torch.float64) - self.mean).mul_(self.scale)

    def matrix(self) -> Tensor:
        """Returns F."""
        return torch.cat(list(self.blocks()))

    def trace(self) -> Tensor:
        """Returns the covariance's trace."""
        return torch.stack([block.square().sum() for block in self.blocks()]).sum()

    def cross(self, other: "_Factor") -> Tensor:
        """Returns C = F Gᵀ, shape [R, S], where G of shape [S, D] is the other factor."""
        product = self.rows.new_empty(len(self.rows), len(other.rows), dtype=torch.float64)
        for part, right in zip(product.split(_BLOCK, dim=1), other.blocks(), strict=True):
            part.copy_(self._columns(right))
        return product

    def square(self, other: "_Factor") -> Tensor:
        """Returns C Cᵀ, shape [R, R], without holding C."""
        product = self.rows.new_zeros(len(self.rows), len(self.rows), dtype=torch.float64)
        for right in other.blocks():
            columns = self._columns(right)
            product.addmm_(columns, columns.T)
        return product

    def _columns(self, right: Tensor) -> Tensor:
        """Returns F Rᵀ for some rows R of the other factor."""
        return torch.cat([left @ right.T for left in self.blocks()])


def _root(covariance: Tensor) -> Tensor:
    """Returns F of shape [R, D] with FᵀF equal to a covariance [D, D]."""
    size = len(covariance)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    largest = covariance.diagonal().max()
    # A pivot near rounding error means a rank that is not full: its root would be eight digits larger than itself.
    if not failed and lower.diagonal().square().min() > 1e3 * size * _EPS * largest:
        return lower.T
    eigenvalue, eigenvector = torch.linalg.eigh(covariance)
    kept = eigenvalue > eigenvalue[-1].clamp(min=0.0) * size * _EPS
    factor: Tensor = eigenvalue[kept].sqrt()[:, None] * eigenvector[:, kept].T
    return factor


def _nuclear_norm(first: _Factor, second: _Factor) -> Tensor:
    """Returns the sum of the singular values of F Gᵀ."""
    if not (len(first.rows) and len(second.rows)):
        return first.rows.new_zeros((), dtype=torch.float64)
    if len(first.rows) > len(second.rows):
        first, second = second, first
    # Eigenvalues of the square take a third of the time. They are wrong by rounding error of the largest, which shows
    # in the roots of small ones: where it does, singular values are worth their time.
    eigenvalue, _ = _spectrum(first.square(second), vectors=False)
    value = eigenvalue.clamp(min=0.0).sqrt()
    error = (_EPS * eigenvalue[-1] / (2.0 * value)).sum()
    if error <= 1e-11 * value.sum():
        return value.sum()
    return _singular_values(first.cross(second)).sum()


def _spectrum(square: Tensor, vectors: bool = True) -> tuple[Tensor, Tensor]:
    """Returns a symmetric matrix's eigenvalues, ascending, and its eigenvectors as columns; the matrix is used up."""
    if square.device.type != "cpu":
        return torch.linalg.eigh(square) if vectors else (torch.linalg.eigvalsh(square), square)
    # LAPACK's "evr" works where the matrix lies; what torch calls takes three more of its size.
    found = eigh(square.numpy().T, eigvals_only=not vectors, overwrite_a=True, check_finite=False, driver="evr")
    value, vector = found if vectors else (found, square.numpy())
    return torch.from_numpy(value), torch.from_numpy(vector)


def _singular_values(matrix: Tensor) -> Tensor:
    """Returns a matrix's singular values; it is used up."""
    if matrix.device.type != "cpu":
        return torch.linalg.svdvals(matrix)
    return torch.from_numpy(svdvals(matrix.numpy().T, overwrite_a=True, check_finite=False))  # for the same reason


def _checked(
    mean_1: Tensor, covariance_1: Tensor | None, mean_2: Tensor, covariance_2: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
    assert mean_1.shape == mean_2.shape and mean_1.ndim == 1, "means are vectors of one length"
    given = [covariance for covariance in (covariance_1, covariance_2) if covariance is not None]
    assert all(covariance.shape == (len(mean_1), len(mean_1)) for covariance in given), "covariances are D × D"
    if not all(bool(statistic.sum().isfinite()) for statistic in (mean_1, mean_2, *given)):
        raise ValueError("the statistics hold NaN or infinity")
    first, second = (None if c is None else c.to(torch.float64) for c in (covariance_1, covariance_2))
    return mean_1.to(torch.float64), first, mean_2.to(torch.float64), second


def frechet_distance(
    mean_1: Tensor,
    covariance_1: Tensor | None,
    mean_2: Tensor,
    covariance_2: Tensor | None,
    points_1: Tensor | None = None,
    points_2: Tensor | None = None,
) -> Tensor:
    r"""Returns the squared Fréchet (2-Wasserstein) distance between N(μ₁, Σ₁) and N(μ₂, Σ₂).

    .. math:: d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2) - 2\,\mathrm{tr}\,(\Sigma_1 \Sigma_2)^{1/2}

    With :math:`\Sigma_i = F_i^T F_i` the last trace is the sum of the singular values of :math:`F_1 F_2^T`. A factor is
    the centred points where there are no more of them than dimensions, so that the cross term is N × N; else
    Cholesky's where the covariance has full rank; else it comes from the eigendecomposition, without what is rounding
    error. Nothing is inverted.

    References:
        | The Fréchet distance between multivariate normal distributions (Dowson & Landau, 1982)
        | GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et al., 2017)
        | https://arxiv.org/abs/1706.08500

    Arguments:
        mean_1: The first mean, shape [D].
        covariance_1: The first covariance, symmetric positive semidefinite, shape [D, D]; None if there are its points.
        mean_2: The second mean, shape [D].
        covariance_2: The second covariance, shape [D, D], or None.
        points_1: All the points whose moments the first are (ddof 1), shape [N, D]; looked at only if N ≤ D, or without
            a covariance.
        points_2: The same of the second, shape [M, D].

    Returns:
        The distance in float64, a scalar ≥ 0.

    Raises:
        ValueError: If a mean or a covariance is not finite.
    """
    mean_1, covariance_1, mean_2, covariance_2 = _checked(mean_1, covariance_1, mean_2, covariance_2)
    first, second = _Factor(covariance_1, points_1), _Factor(covariance_2, points_2)
    trace = sum(f.trace() if c is None else c.trace() for f, c in ((first, covariance_1), (second, covariance_2)))
    squared: Tensor = (mean_1 - mean_2).square().sum() + trace - 2.0 * _nuclear_norm(first, second)
    return squared.clamp(min=0.0)


def frechet_influence(
    x: Tensor,
    mean_1: Tensor,
    covariance_1: Tensor | None,
    mean_2: Tensor,
    covariance_2: Tensor | None,
    points_1: Tensor | None = None,
    points_2: Tensor | None = None,
) -> Tensor:
    r"""Returns how the distance moves when N(μ₁, Σ₁) gives a little more weight to each of some points, centred.

    .. math:: \psi(x) = 2 (\mu_1 - \mu_2)^T (x - \mu_1) + (x - \mu_1)^T (I - T) (x - \mu_1) - \mathrm{const}

    with the optimal map :math:`T = F_1^{+} M^{1/2} F_1^{+T}`, :math:`M = F_1 \Sigma_2 F_1^T`, from the first Gaussian
    to the second: the gradient of the distance in :math:`\Sigma_1` is :math:`I - T`. By the delta method the distance
    of N points has the variance :math:`\mathrm{Var}\,\psi / N`. It is taken on the range of the first covariance,
    outside of which the distance has no derivative.

    References:
        | Limit laws of the empirical Wasserstein distance: Gaussian distributions (Rippl et al., 2016)
        | https://arxiv.org/abs/1507.04090

    Arguments:
        x: The points, all or some of those whose moments the first are, shape [n, D].
        mean_1: As of `frechet_distance`, like all that follow.
        covariance_1: The first covariance.
        mean_2: The second mean.
        covariance_2: The second covariance.
        points_1: All the first points.
        points_2: All the second points.

    Returns:
        The influences in float64 with mean zero, shape [n].
    """
    mean_1, covariance_1, mean_2, covariance_2 = _checked(mean_1, covariance_1, mean_2, covariance_2)
    first, second = _Factor(covariance_1, points_1), _Factor(covariance_2, points_2)
    moved = _moved(x, mean_1, first, second) if len(first.rows) and len(second.rows) else mean_1.new_zeros(len(x))
    shift, psi = 2.0 * (mean_1 - mean_2), []
    for part, transported in zip(x.split(_BLOCK), moved.split(_BLOCK), strict=True):
        centred = part.to(torch.float64) - mean_1
        psi.append(centred @ shift + centred.square().sum(dim=1) - transported)
    influence = torch.cat(psi)
    return influence - influence.mean()


def _moved(x: Tensor, mean: Tensor, first: _Factor, second: _Factor) -> Tensor:
    """Returns (x − μ₁)ᵀ T (x − μ₁) of points [n, D], shape [n]; neither Gaussian is a single point."""
    eigenvalue, eigenvector = _spectrum(first.square(second))
    root = eigenvalue.clamp(min=0.0).sqrt()
    if first.points is not None and first.points.data_ptr() == x.data_ptr():
        return _moved_points(eigenvector, root, len(first.points))[: len(x)]
    z = _shortest(first.matrix(), mean, x)
    return torch.cat([(rows @ eigenvector).square() @ root for rows in z.split(_BLOCK)])


def _moved_points(eigenvector: Tensor, root: Tensor, num: int) -> Tensor:
    """Returns zᵀM^½z for the z with F₁ᵀz = x − μ₁ of each of the N points that F₁ is made of, shape [N].

    They are √(N − 1) times the columns of Householder's reflection I − 2vvᵀ, v ∝ 1/√N − e₀, without its first row.
    """
    norm = (2.0 - 2.0 * num**-0.5) ** 0.5
    first, other = (num**-0.5 - 1.0) / norm, num**-0.5 / norm
    sums = other * eigenvector.sum(dim=0)
    moved = [(2.0 * first * sums).square()[None] @ root]
    for rows in eigenvector.split(_BLOCK):
        moved.append((rows - 2.0 * other * sums).square() @ root)
    return (num - 1) * torch.cat(moved)


def _shortest(factor: Tensor, mean: Tensor, x: Tensor) -> Tensor:
    """Returns the shortest z with Fᵀz = x − μ for each x [n, D], shape [n, R]."""
    centred = x.to(torch.float64) - mean
    if factor.shape[0] == factor.shape[1] and not factor.tril(-1).any():
        return torch.linalg.solve_triangular(factor.T, centred.T, upper=False).T
    spread, axis = torch.linalg.eigh(factor @ factor.T)
    kept = spread > spread[-1].clamp(min=0.0) * max(factor.shape) * _EPS
    shortest: Tensor = (centred @ factor.T @ axis[:, kept] / spread[kept]) @ axis[:, kept].T
    return shortest
