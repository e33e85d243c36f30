import pytest
import torch

from lit_gen.datamodules.splits import deal, share_out, split_size
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


def test_groups_stay_together():
    groups = torch.randint(0, 40, (300,), generator=torch.Generator().manual_seed(0)) * 7
    groups[:280:7] = torch.arange(40) * 7
    labels = groups // 7 % 2
    shares = share_out({"train": labels}, 0.1, 5, 3, groups)
    parts = {split: indices for split, (_, indices) in shares.items()}
    assert sorted(index for part in parts.values() for index in part) == list(range(300))
    members = {split: set(groups[indices].tolist()) for split, indices in parts.items()}
    assert {split: len(found) for split, found in members.items()} == {"train": 31, "val": 4, "test": 5}
    assert parts == {split: indices for split, (_, indices) in share_out({"train": labels}, 0.1, 5, 3, groups).items()}
    assert {int(group) // 7 % 2 for group in members["val"]} == {0, 1}, "every class has its share of groups"
    assert not all(a <= b for a, b in zip(parts["train"], parts["train"][1:], strict=False)), "shuffled"
