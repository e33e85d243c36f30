"""Precision and recall: against points on a line, and torch-fidelity."""

import pytest
import torch

from lit_gen.functional.manifold import neighbour_distances, precision_recall


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
    monkeypatch.setattr("lit_gen.functional.manifold._CHUNK", 17)
    assert torch.equal(torch.stack(precision_recall(fake, real, 5)), ours)
