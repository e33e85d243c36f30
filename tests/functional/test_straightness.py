"""How far paths are from straight: closed forms."""

import math

import pytest
import torch

from lit_gen.functional.straightness import excess_energy


def test_straight_lines_at_an_even_speed_have_none() -> None:
    z, times = torch.randn(5, 2, 1, 1), [1.0, 0.7, 0.2, 0.0]
    path = [z * t + 3 * (1 - t) for t in times]
    assert excess_energy(path, times).item() == pytest.approx(0, abs=1e-6)
    assert excess_energy([z, z + 1], [0.0, 1.0]).item() == pytest.approx(0, abs=1e-6)


def test_an_uneven_speed_and_a_bend_are_what_the_integral_says() -> None:
    times = torch.linspace(0, 1, 2001, dtype=torch.float64).tolist()
    accelerated = [torch.tensor([[t**2, 0.0]], dtype=torch.float64) for t in times]  # ∫ 4t² − 1 = 1/3
    assert excess_energy(accelerated, times).item() == pytest.approx(1 / 3, abs=1e-5)
    arc = [torch.tensor([[math.cos(math.pi * t), math.sin(math.pi * t)]], dtype=torch.float64) for t in times]
    assert excess_energy(arc, times).item() == pytest.approx(math.pi**2 / 4 - 1, abs=1e-5)
    # Whatever the data's unit and time's direction.
    assert excess_energy([7 * z for z in reversed(arc)], times).item() == pytest.approx(math.pi**2 / 4 - 1, abs=1e-5)
