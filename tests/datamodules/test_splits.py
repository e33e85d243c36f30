import pytest
import torch

from lit_gen.datamodules.splits import deal, split_size
from lit_gen.errors import UserError

UNEVEN = torch.arange(10).repeat_interleave(torch.tensor([1, 3, 10, 30, 100, 5, 60, 2, 80, 9]))


@pytest.mark.parametrize("labels", [torch.zeros(300, dtype=torch.int64), UNEVEN], ids=["unlabelled", "uneven"])
@pytest.mark.parametrize("sizes", [[], [50], [0, 30], [40, 60]])
def test_parts_are_a_partition_fixed_by_seed(labels, sizes):
    parts = deal(labels, sizes, seed=4)
    assert [len(part) for part in parts] == [*sizes, len(labels) - sum(sizes)]
    assert sorted(torch.cat(parts).tolist()) == list(range(len(labels)))
    again, other = deal(labels, sizes, seed=4), deal(labels, sizes, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not torch.equal(torch.cat(parts), torch.cat(other))


def test_every_class_has_its_share():
    for seed in range(5):
        for part in deal(UNEVEN, [60, 90], seed):
            shares = UNEVEN[part].bincount(minlength=10) - UNEVEN.bincount() * len(part) / len(UNEVEN)
            assert shares.abs().max() <= 2


def test_first_images_represent_their_part():
    labels = torch.arange(10).repeat_interleave(100)
    (order,) = deal(labels, [], 0)
    assert labels[order[:200]].bincount(minlength=10).min() >= 8


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 0), (5, 5), (5.0, 5), (0.1, 10), (0.0, 0), (0.004, 0), (99, 99), (0.99, 99)]
)
def test_sizes(size, expected):
    assert split_size(size, 100, "val_size") == expected


@pytest.mark.parametrize("size", [-1, -0.1, 1.5, 100, 250, 0.999])
def test_wrong_sizes(size):
    with pytest.raises(UserError, match=f"val_size is {size}"):
        split_size(size, 100, "val_size")
