"""Clusters that are classes under other names, and those that are not quite."""

import torch

from lit_gen.metrics.cluster_accuracy import cluster_accuracy


def test_names_of_clusters_do_not_matter() -> None:
    label = torch.arange(60) % 4
    assert cluster_accuracy(torch.tensor([2, 0, 3, 1])[label], label) == 1
    assert cluster_accuracy(torch.zeros(60, dtype=torch.int64), label) == 1 / 4


def test_the_best_matching_is_not_the_greedy_one() -> None:
    """Greedy: cluster 0 takes class 0 (5 images), cluster 1 is left with class 1 (0). Best: 4 + 4."""
    cluster = torch.tensor([0] * 9 + [1] * 4)
    label = torch.tensor([0] * 5 + [1] * 4 + [0] * 4)
    assert cluster_accuracy(cluster, label) == 8 / 13


def test_more_clusters_than_classes() -> None:
    assert cluster_accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 0, 1, 1])) == 3 / 4
