"""How well clusters are classes."""

__all__ = ["cluster_accuracy"]

import torch
from torch import Tensor


def cluster_accuracy(cluster: Tensor, label: Tensor) -> float:
    """Returns the share of images whose cluster is their class, under the best one-to-one matching of the two.

    The matching is the Hungarian algorithm's; of unlike numbers of clusters and classes some go without.

    Arguments:
        cluster: Each image's cluster, integers from 0 up, shape [N].
        label: Each image's class, likewise.
    """
    from scipy.optimize import linear_sum_assignment

    assert cluster.ndim == 1 and cluster.shape == label.shape and len(label) > 0
    counts = torch.zeros(int(cluster.max()) + 1, int(label.max()) + 1, dtype=torch.int64)
    counts.index_put_((cluster, label), torch.ones((), dtype=torch.int64), accumulate=True)
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    return float(counts[torch.from_numpy(rows), torch.from_numpy(columns)].sum()) / len(label)
