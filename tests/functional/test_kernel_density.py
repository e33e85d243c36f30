"""The kernel density estimate against scipy's."""

import pytest
import torch
from scipy.stats import gaussian_kde

from lit_gen.functional.kernel_density import log_kernel_density


@pytest.mark.parametrize("dim", [1, 2])
def test_it_is_scipy_s(dim: int) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(200, dim, generator=generator, dtype=torch.float64)
    samples = (samples - samples.mean(0)) @ torch.linalg.inv(
        torch.linalg.cholesky(torch.cov(samples.T).view(dim, dim))
    ).T
    points = torch.randn(50, dim, generator=generator, dtype=torch.float64)
    reference = gaussian_kde(samples.T.numpy(), bw_method=0.3)  # its kernel is 0.3² × the samples' covariance, here I
    expected = torch.from_numpy(reference(points.T.numpy()))
    assert torch.allclose(log_kernel_density(points, samples, 0.3).exp(), expected)


def test_many_points_are_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points, samples = torch.randn(23, 2), torch.randn(7, 2)
    expected = log_kernel_density(points, samples, 0.5)
    monkeypatch.setattr("lit_gen.functional.kernel_density._MOST", 15)
    assert torch.equal(log_kernel_density(points, samples, 0.5), expected)
