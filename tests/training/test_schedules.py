"""Schedules against their formulas, and over a save and load."""

import io
import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from lit_gen.errors import UserError
from lit_gen.training.schedules import ConstantThenLinear, WarmupCosine

RATE, STEPS = 0.3, 24
CASES: list[tuple[Callable[[SGD], LRScheduler], Callable[[int], float]]] = [
    (
        lambda optimizer: WarmupCosine(optimizer, 5, 20),
        lambda n: (n + 1) / 5 if n < 5 else 0.5 * (1 + math.cos(math.pi * min(n - 5, 15) / 15)),
    ),
    (
        lambda optimizer: WarmupCosine(optimizer, 0, 20),
        lambda n: 0.5 * (1 + math.cos(math.pi * min(n, 20) / 20)),
    ),
    (
        lambda optimizer: ConstantThenLinear(optimizer, 10, 8),
        lambda n: 1.0 if n < 10 else max(0.0, 1 - (n - 10) / 8),
    ),
]


def make(schedule: Callable[[SGD], LRScheduler]) -> tuple[SGD, LRScheduler]:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    return optimizer, schedule(optimizer)


@pytest.mark.parametrize("interrupted_at", [None, 3, 12])
@pytest.mark.parametrize(("schedule", "formula"), CASES)
def test_rates_follow_the_formula_also_when_resumed(
    schedule: Callable[[SGD], LRScheduler], formula: Callable[[int], float], interrupted_at: int | None
) -> None:
    optimizer, scheduler = make(schedule)
    for step in range(STEPS):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(RATE * formula(step), abs=1e-7), step
        if step == interrupted_at:
            buffer = io.BytesIO()
            torch.save([optimizer.state_dict(), scheduler.state_dict()], buffer)
            buffer.seek(0)
            states = torch.load(buffer, weights_only=True)
            optimizer, scheduler = make(schedule)
            optimizer.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scheduler.step()


@pytest.mark.parametrize("arguments", [(-1, 10), (10, 10), (12, 10)])
def test_a_warm_up_that_does_not_fit_is_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="warm-up"):
        make(lambda optimizer: WarmupCosine(optimizer, *arguments))


@pytest.mark.parametrize("arguments", [(-1, 10), (10, 0)])
def test_a_decay_of_no_steps_is_refused(arguments: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="at least 1"):
        make(lambda optimizer: ConstantThenLinear(optimizer, *arguments))
