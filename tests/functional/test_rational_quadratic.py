"""Splines: monotone, undone, smooth, with the slope that autograd finds, and zuko's values."""

import pytest
import torch

from lit_gen.functional.rational_quadratic import _knots, rational_quadratic, rational_quadratic_inverse

X = torch.linspace(-5, 5, 2001, dtype=torch.float64)


def parameters(bins: int = 8, scale: float = 1.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    raw = scale * torch.randn(3 * bins - 1, generator=generator, dtype=torch.float64)
    return raw.expand(len(X), -1)


@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
def test_it_rises_and_is_undone(scale: float) -> None:
    raw = parameters(scale=scale)
    y, _ = rational_quadratic(X, raw, 3.0)
    assert (y.diff() > 0).all()
    assert torch.equal(y[X.abs() >= 3], X[X.abs() >= 3])
    assert (rational_quadratic_inverse(y, raw, 3.0) - X).abs().max() < 1e-9


def test_zeros_make_the_identity() -> None:
    y, log_slope = rational_quadratic(X, torch.zeros(len(X), 23, dtype=torch.float64), 3.0)
    torch.testing.assert_close(y, X, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, torch.zeros_like(X), rtol=0, atol=1e-12)


def test_the_slope_is_autograds_and_without_jumps() -> None:
    x = X.clone().requires_grad_()
    y, log_slope = rational_quadratic(x, parameters(), 3.0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope, slope.log(), rtol=1e-9, atol=1e-9)
    knots = _knots(parameters()[0], 3.0)[0]
    sides = [rational_quadratic(knots + step, parameters()[: len(knots)], 3.0)[1] for step in (-1e-9, 1e-9)]
    torch.testing.assert_close(sides[0], sides[1], rtol=0, atol=1e-5)


def test_gradients_are_finite_far_outside() -> None:
    x = torch.tensor([-1e30, -3.0, 3.0, 1e30], dtype=torch.float64, requires_grad=True)
    raw = parameters()[:4].clone().requires_grad_()
    y, log_slope = rational_quadratic(x, raw, 3.0)
    (y.sum() + log_slope.sum()).backward()
    assert torch.equal(x.grad, torch.ones(4, dtype=torch.float64)) and torch.equal(raw.grad, torch.zeros_like(raw))


def test_float32_stays_monotone() -> None:
    raw = parameters(bins=64, scale=6.0).float()
    y, log_slope = rational_quadratic(X.float(), raw, 3.0)
    assert (y.diff() >= 0).all() and torch.isfinite(log_slope).all()
    # As exact as the slope allows.
    back = rational_quadratic_inverse(y, raw, 3.0)
    assert ((back - X.float()).abs() <= 1e-5 * (1 + (-log_slope).exp())).all()


def test_zuko_has_the_same_values() -> None:
    transforms = pytest.importorskip("zuko.transforms")
    raw = parameters()[0]
    theirs = transforms.MonotonicRQSTransform(raw[:8], raw[8:16], raw[16:], bound=3.0)
    theirs.horizontal, theirs.vertical, theirs.derivatives = _knots(raw, 3.0)
    x = torch.linspace(-2.99, 2.99, 500, dtype=torch.float64)
    y, log_slope = rational_quadratic(x, raw.expand(500, -1), 3.0)
    wanted, log_wanted = theirs.call_and_ladj(x)
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(log_slope, log_wanted)
