"""Seeds and generators."""

import random

import numpy
import pytest
import torch

from lit_gen.training.seeding import derive_seed, isolated


def test_unlike_parts_give_unlike_seeds() -> None:
    seeds = {derive_seed(seed, rank, step) for seed in range(20) for rank in range(20) for step in range(50)}
    assert len(seeds) == 20 * 20 * 50
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_are_the_same_for_ever() -> None:
    """A changed hash would change every run's samples; this number must never be edited to fit."""
    assert derive_seed(0, "image", 7) == 5182406731478535137


def test_isolation_restores_all_three_generators_also_on_error() -> None:
    states = torch.get_rng_state(), numpy.random.get_state()[1].copy(), random.getstate()
    with pytest.raises(RuntimeError), isolated():
        torch.randn(5), numpy.random.rand(5), random.random()
        raise RuntimeError
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == numpy.random.get_state()[1]).all()
    assert states[2] == random.getstate()
