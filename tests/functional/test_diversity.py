import math

import pytest
import torch

from lit_gen.functional.diversity import label_spread, pairwise_distance


def test_the_mean_pairwise_distance_counts_each_pair_once():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = torch.pdist(x).mean().item()
    assert pairwise_distance(x) == pytest.approx(wanted)
    assert pairwise_distance(x, chunk_size=7) == pytest.approx(wanted)
    assert pairwise_distance(torch.ones(5, 3)) == 0.0


def test_labels_spread_like_the_data_have_no_divergence():
    data = torch.tensor([10, 20, 30, 40])
    label = torch.repeat_interleave(torch.arange(4), torch.tensor([1, 2, 3, 4]))
    spread = label_spread(label, data)
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    assert spread.entropy == pytest.approx(float(torch.distributions.Categorical(p).entropy()))
    assert (spread.divergence, spread.found) == (pytest.approx(0, abs=1e-12), 4)


def test_collapse_to_one_of_k_equal_classes_diverges_by_log_k():
    spread = label_spread(torch.full((30,), 2), torch.ones(10))
    assert (spread.entropy, spread.found) == (0.0, 1)
    assert spread.divergence == pytest.approx(math.log(10))
