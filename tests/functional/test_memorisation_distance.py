"""The distance to the nearest training point, against its definition written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.functional.memorisation_distance import memorisation_distance, nearest_directions

GENERATOR = torch.Generator().manual_seed(0)
FAKE, TRAIN = torch.randn(23, 5, generator=GENERATOR), torch.randn(41, 5, generator=GENERATOR)


def _distance(fake: Tensor, train: Tensor, block: int = 1024) -> float:
    return memorisation_distance(nearest_directions(fake, train, block)).item()


@pytest.mark.parametrize("block", [1, 7, 1024])
def test_definition(block: int) -> None:
    x, y = FAKE.double().numpy(), TRAIN.double().numpy()
    nearest = [min(1.0 - abs(np.dot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)) for b in y) for a in x]
    assert nearest_directions(FAKE, TRAIN, block).tolist() == pytest.approx(nearest, rel=1e-12)
    assert _distance(FAKE, TRAIN, block) == pytest.approx(np.mean(nearest), rel=1e-12)


def test_copies_at_any_scale_are_no_distance_away() -> None:
    copies = TRAIN[:10] * torch.linspace(-2.0, 3.0, 10)[:, None]
    assert _distance(copies, TRAIN) == pytest.approx(0.0, abs=1e-12)
    # The other way round most training points have no copy: whose nearest is meant matters.
    assert _distance(TRAIN, copies) > 0.01


def test_points_without_a_direction() -> None:
    x, y = torch.eye(3), torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert _distance(x, y, block=1) == pytest.approx(2.0 / 3.0)
    assert _distance(torch.cat([x[:1], x[:2] * 0.0]), y) == 0.0  # the zeros are left out
    assert _distance(x, y[:1]) == 1.0
    assert _distance(x * 0.0, y) == 1.0
