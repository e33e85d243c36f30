"""The distance to the nearest training point, against its definition written out."""

import numpy as np
import pytest
import torch

from lit_gen.functional.memorisation_distance import memorisation_distance

GENERATOR = torch.Generator().manual_seed(0)
FAKE, TRAIN = torch.randn(23, 5, generator=GENERATOR), torch.randn(41, 5, generator=GENERATOR)


@pytest.mark.parametrize("block", [1, 7, 1024])
def test_definition(block: int) -> None:
    x, y = FAKE.double().numpy(), TRAIN.double().numpy()
    nearest = [min(1.0 - abs(np.dot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)) for b in y) for a in x]
    assert memorisation_distance(FAKE, TRAIN, block).item() == pytest.approx(np.mean(nearest), rel=1e-12)


def test_copies_at_any_scale_are_no_distance_away() -> None:
    copies = TRAIN[:10] * torch.linspace(-2.0, 3.0, 10)[:, None]
    assert memorisation_distance(copies, TRAIN).item() == pytest.approx(0.0, abs=1e-12)
    # The other way round most training points have no copy: whose nearest is meant matters.
    assert memorisation_distance(TRAIN, copies).item() > 0.01


def test_points_without_a_direction() -> None:
    x, y = torch.eye(3), torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert memorisation_distance(x, y, block=1).item() == pytest.approx(2.0 / 3.0)
    assert memorisation_distance(torch.cat([x[:1], x[:2] * 0.0]), y).item() == 0.0  # the zeros are left out
    assert memorisation_distance(x, y[:1]).item() == 1.0
    assert memorisation_distance(x * 0.0, y).item() == 1.0
