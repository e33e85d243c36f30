"""Bits per dimension against what is known without a computer."""

import math

import pytest
import torch

from lit_gen.functional.bits_per_dim import bits_per_dim


def test_known_values() -> None:
    shape = (3, 5, 7)
    uniform = torch.tensor([-105 * math.log(256.0)] * 4, dtype=torch.float64)
    assert bits_per_dim(uniform, shape).tolist() == pytest.approx([8.0] * 4, rel=1e-15)
    assert float(bits_per_dim(torch.zeros((), dtype=torch.float64), shape)) == 0.0  # certainty costs nothing
    coin = torch.tensor(105 * math.log(0.5), dtype=torch.float64)
    assert float(bits_per_dim(coin, shape)) == pytest.approx(1.0, rel=1e-15)
