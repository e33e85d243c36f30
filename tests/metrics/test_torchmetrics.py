"""The same KID and Inception Score as torchmetrics, of the same features, subsets and order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.inception import InceptionScore as TheirScore
from torchmetrics.image.kid import KernelInceptionDistance

from lit_gen.metrics import Features, InceptionScore, KernelDistance

SIZE, REAL, FAKE, SUBSET, SEED = 6, 40, 30, 20, 5


class Same(nn.Module):
    """Passes features through."""

    num_features = SIZE

    def forward(self, x: Tensor) -> Tensor:
        return x


def _features() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(num, SIZE, generator=generator) for num in (REAL, FAKE))
    return real, 1.5 * fake + 0.5


def _replay(monkeypatch: pytest.MonkeyPatch, orders: list[Any]) -> None:
    """Has torchmetrics, which draws from torch's global generator, take what is drawn here."""
    left: Iterator[Any] = iter(orders)
    monkeypatch.setattr(torch, "randperm", lambda num: torch.from_numpy(next(left)))


def _kid(subsets: int, subset_size: int, fake: Tensor, real: Tensor) -> tuple[KernelDistance, KernelInceptionDistance]:
    ours = KernelDistance(real, subsets, subset_size, SEED)
    theirs = KernelInceptionDistance(Same(), subsets=subsets, subset_size=subset_size)
    ours.update(Features(fake))
    theirs.update(real.double(), real=True)
    theirs.update(fake.double(), real=False)
    return ours, theirs


def test_kid_of_the_whole_sets() -> None:
    real, fake = _features()
    ours, theirs = _kid(1, FAKE, fake, real[:FAKE])
    expected, _ = theirs.compute()
    assert ours.compute()["kid_mean"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected > 0.01


def test_kid_of_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = _features()
    ours, theirs = _kid(7, SUBSET, fake, real)
    random = np.random.RandomState(SEED)
    drawn = [[random.choice(num, SUBSET, replace=False) for num in (FAKE, REAL)] for _ in range(7)]
    scores = ours.compute()
    _replay(monkeypatch, [order for pair in drawn for order in pair[::-1]])
    mean, std = theirs.compute()
    assert scores["kid_mean"].item() == pytest.approx(mean.item(), rel=1e-6)
    assert scores["kid_std"].item() == pytest.approx(std.item(), rel=1e-6)


def test_inception_score(monkeypatch: pytest.MonkeyPatch) -> None:
    _, logits = _features()
    ours, theirs = InceptionScore(splits=5, seed=SEED), TheirScore(Same(), splits=5)
    ours.update(Features(torch.zeros(FAKE, 1), logits))
    theirs.update(logits.double())
    scores = ours.compute()
    _replay(monkeypatch, [np.random.RandomState(SEED).permutation(FAKE)])
    mean, std = theirs.compute()
    assert scores["is_mean"].item() == pytest.approx(mean.item(), rel=1e-6)
    # Theirs is the deviation of n − 1; ours, as torch-fidelity's and the paper's code, of n.
    assert scores["is_std"].item() == pytest.approx(std.item() * (4.0 / 5.0) ** 0.5, rel=1e-6)
    assert mean > 1.1
