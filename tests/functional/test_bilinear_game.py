import math

import numpy
import pytest
import torch

from lit_gen.functional.bilinear_game import UPDATES, trajectory

START = (0.8, -0.6)


def radii(name: str, eta: float, steps: int = 200) -> torch.Tensor:
    return trajectory(UPDATES[name], START, eta, steps).norm(dim=1)


@pytest.mark.parametrize("eta", [0.05, 0.3, 1.0])
def test_simultaneous_steps_spiral_out_by_a_known_factor(eta):
    wanted = (1 + eta**2) ** (torch.arange(201, dtype=torch.float64) / 2)
    torch.testing.assert_close(radii("simultaneous", eta), wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("eta", [0.05, 0.3, 1.0, 1.9])
def test_alternating_steps_stay_on_an_ellipse(eta):
    x, y = trajectory(UPDATES["alternating"], START, eta, 5000).T
    conserved = x**2 + y**2 - eta * x * y
    torch.testing.assert_close(conserved, conserved[:1].expand(5001), rtol=1e-9, atol=0)
    radius = (x**2 + y**2).sqrt()
    # x² + y² − ηxy lies between (1 ∓ η/2)(x² + y²).
    assert radius.max() ** 2 <= conserved[0] / (1 - eta / 2) * (1 + 1e-9)
    assert radius.min() ** 2 >= conserved[0] / (1 + eta / 2) * (1 - 1e-9)


@pytest.mark.parametrize("eta", [0.05, 0.3, 0.9])
def test_extragradient_contracts_by_a_known_factor(eta):
    wanted = (1 - eta**2 + eta**4) ** (torch.arange(201, dtype=torch.float64) / 2)
    torch.testing.assert_close(radii("extragradient", eta), wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("eta", [0.1, 0.3, 0.5])
def test_optimistic_steps_converge_at_the_rate_of_their_recurrence(eta):
    # z' = (1 + 2iη) z − iη z₋₁
    rate = max(abs(numpy.roots([1, -(1 + 2j * eta), 1j * eta])))
    assert rate < 1
    radius = radii("optimistic", eta, 1000)
    assert (radius[900] / radius[800]).item() == pytest.approx(rate**100, rel=1e-6)


def test_optimistic_steps_diverge_where_they_are_too_large():
    bound = 1 / math.sqrt(3)
    assert radii("optimistic", bound * 0.99, 3000)[-1] < 1e-3
    assert radii("optimistic", bound * 1.01, 3000)[-1] > 1e3


def test_each_is_gradient_descent_and_ascent_on_xy():
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    gradient = torch.autograd.grad(w[0] * w[1], w)[0]
    wanted = torch.stack([w[0] - 0.1 * gradient[0], w[1] + 0.1 * gradient[1]]).detach()
    for name in ("simultaneous", "optimistic"):
        torch.testing.assert_close(trajectory(UPDATES[name], START, 0.1, 1)[1], wanted)
    assert trajectory(UPDATES["alternating"], START, 0.1, 1)[1, 0] == wanted[0]
