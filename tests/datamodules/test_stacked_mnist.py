"""Stacked MNIST: each channel is the digit that the label says, whatever is asked for first."""

import numpy
import pytest
import torch

from lit_gen.contracts import PointData, SupportsChannelData
from lit_gen.datamodules import MNIST, StackedMNIST
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """MNIST's files, with digits whose pixels all say which they are."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, num in (("train", 60000), ("t10k", 10000)):
        labels = numpy.random.default_rng(num).integers(0, 10, num, dtype=numpy.uint8)
        images = numpy.broadcast_to(20 * labels[:, None, None], (num, 28, 28))
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(head + numpy.ascontiguousarray(array).tobytes())
    return str(folder)


def test_channels_are_the_label_s_digits(root) -> None:
    data = StackedMNIST(root, num_train=1000, num_val=300, num_test=200, batch_size=64)
    data.check()
    assert data.image_shape == (3, 28, 28) and data.num_classes == 1000 and data.class_names[42] == "042"
    assert isinstance(data, SupportsChannelData) and not isinstance(MNIST(root), SupportsChannelData)
    assert not isinstance(data, PointData)
    for split, num in (("train", 1000), ("val", 300), ("test", 200)):
        seen = []
        for batch in data.batches(split, 128):
            assert batch["image"].dtype == torch.uint8 and batch["image"].shape[1:] == (3, 28, 28)
            digits = batch["image"][:, :, 5, 7].long() // 20
            assert torch.equal(digits @ torch.tensor([100, 10, 1]), batch["label"])
            seen.append(batch["label"])
        assert len(torch.cat(seen)) == num == data.num_images(split)
        assert len(torch.cat(seen).unique()) > 0.6 * min(num, 1000)
    batch = next(iter(data.train_dataloader()))
    out = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(out["image"], from_uint8(batch["image"]))


def test_images_are_fixed_by_the_seed_and_cost_no_memory(root) -> None:
    a, b, other = (StackedMNIST(root, num_train=n, seed=s) for n, s in ((500, 0), (500, 0), (500, 1)))
    assert a.fingerprint("test") == b.fingerprint("test") != other.fingerprint("test")
    large = StackedMNIST(root, num_train=10_000_000)
    assert large.num_images("train") == 10_000_000
    stacks = large._source("train")["image"]
    assert stacks.picks.numel() * 8 + stacks.digit.numel() < 300e6


def test_a_size_may_be_chosen(root) -> None:
    data = StackedMNIST(root, image_size=32, num_val=10)
    assert data.image_shape == (3, 32, 32)
    assert next(iter(data.batches("val", 10)))["image"].shape == (10, 3, 32, 32)


def test_sizes_that_make_no_sense_are_named(root) -> None:
    with pytest.raises(UserError, match="num_train is 0"):
        StackedMNIST(root, num_train=0).check()
