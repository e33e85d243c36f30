"""Precision and recall: against points on a line, and torch-fidelity."""

import pytest
import torch

from lit_gen.functional.manifold import precision_recall, share_deviation
from lit_gen.functional.neighbours import neighbour_distances


def test_points_on_a_line() -> None:
    """Real balls: [−1, 1], [0, 2], [1, 3] around 0, 1, 2 and [2, 18] around 10; generated ones reach 1, 1 and 49."""
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    fake = torch.tensor([[0.5], [1.5], [50.5]])
    assert neighbour_distances(real, 1).tolist() == [1.0, 1.0, 1.0, 8.0]
    assert neighbour_distances(real, 2).tolist() == [2.0, 1.0, 2.0, 9.0]
    precision, recall = precision_recall(fake, real, neighbours=1)
    assert precision.item() == pytest.approx(2 / 3)
    # 0, 1, 2 lie in a ball of a generated point; 10 lies in that around 50.5, which reaches 1.5.
    assert recall.item() == pytest.approx(1.0)


def test_like_and_unlike_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 4, generator=generator), torch.randn(400, 4, generator=generator)
    assert [float(value) for value in precision_recall(a, a)] == [1.0, 1.0]
    assert [float(value) for value in precision_recall(a + 100.0, b)] == [0.0, 0.0]
    narrow, wide = precision_recall(0.1 * a, b), precision_recall(10.0 * a, b)
    assert narrow[0] > 0.95 and narrow[1] < 0.2, "all within the real ones, and few of these covered"
    assert wide[0] < 0.2, "few within the real ones"


def test_chunks_and_torch_fidelity_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    generator = torch.Generator().manual_seed(0)
    fake, real = torch.randn(150, 6, generator=generator), 1.2 * torch.randn(130, 6, generator=generator)
    ours = torch.stack(precision_recall(fake, real, 5))
    expected = metric_prc.calculate_precision_recall_full(fake.double(), real.double(), 5)
    assert ours.tolist() == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr("lit_gen.functional.distances._LONGEST", 17)
    assert torch.equal(torch.stack(precision_recall(fake, real, 5)), ours)


def test_copies_lie_in_balls_of_radius_zero() -> None:
    """Four copies of each point leave no radius; products of numbers this large do not come out as 0."""
    generator = torch.Generator().manual_seed(0)
    real = (1e3 + torch.randn(40, 50, generator=generator, dtype=torch.float64)).repeat(4, 1)
    assert neighbour_distances(real, 3).tolist() == [0.0] * 160
    fake = torch.cat([real[:25], real[:15] + 1e-3])
    precision, recall = precision_recall(fake, real, 3)
    assert precision.item() == 25 / 40
    # A ball of 25 generated points reaches the one 1e-3 to the side, or another generated point.
    assert recall.item() >= 25 / 40
    alike = torch.full((30, 50), 0.3, dtype=torch.float64)
    assert [float(value) for value in precision_recall(alike, alike[:20], 3)] == [1.0, 1.0]


def test_points_on_the_sphere_are_within() -> None:
    """On a grid every distance is shared by many points: rounding would throw dice for them."""
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3) * 0.1 + 100.0
    near = neighbour_distances(grid, 3)
    assert torch.allclose(near, torch.full_like(near, 0.1), rtol=1e-3)
    shifted = grid + torch.tensor([0.4, 0.0, 0.0])  # touches the grid's last plane, by exactly one step
    exact = torch.cdist(shifted.double(), grid.double(), compute_mode="donot_use_mm_for_euclid_dist")
    expected = (exact <= near * (1 + 1e-12)).any(1).double().mean().item()
    assert precision_recall(shifted, grid, 3)[0].item() == expected >= 0.25


def test_standard_error_of_a_share() -> None:
    """Of precision, given the real balls: the spread over draws of generated points."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 3, generator=generator)
    values = torch.stack([precision_recall(torch.randn(80, 3, generator=generator), real)[0] for _ in range(400)])
    assert share_deviation(values.mean(), 80).item() == pytest.approx(values.std().item(), rel=0.1)
