"""Points as images of one pixel: fixed by their seed, resumable, rebuilt from a checkpoint."""

import pytest
import torch

from lit_gen.contracts import PointData
from lit_gen.datamodules import Digits, Points2D
from lit_gen.errors import UserError
from lit_gen.functional.curved_worlds import TwoMoons
from lit_gen.functional.worlds import Gaussian, Mixture1D, Ring


def whole(data: Points2D, split: str) -> torch.Tensor:
    return torch.cat([batch["image"] for batch in data.batches(split, 128)])


def test_points_are_images_of_one_pixel() -> None:
    data = Points2D(Gaussian(), num_train=500, num_val=100, num_test=50)
    data.check()
    assert data.image_shape == (2, 1, 1) and data.num_classes is None and data.name == "points2d"
    assert [data.num_images(split) for split in ("train", "val", "test")] == [500, 100, 50]
    points = whole(data, "train")
    assert points.shape == (500, 2, 1, 1) and points.dtype == torch.float32
    assert Points2D(Mixture1D()).image_shape == (1, 1, 1)
    assert isinstance(data, PointData) and not isinstance(Digits(), PointData)


def test_points_reach_the_model_unscaled() -> None:
    data = Points2D(Gaussian(), num_train=300, batch_size=100)
    rows = []
    for batch in data.train_dataloader():
        out = data.on_after_batch_transfer(batch, 0)
        assert set(out) == {"image", "index"}
        assert torch.equal(out["image"], whole(data, "train")[out["index"]])
        rows.append(out["image"])
    assert torch.cat(rows).mean() == pytest.approx(5.0, abs=0.3)


def test_splits_depend_on_their_seed_and_size_alone() -> None:
    a, b = Points2D(num_train=100, num_val=50, num_test=20), Points2D(num_train=200, num_val=50, num_test=20)
    other = Points2D(num_train=100, num_val=50, num_test=20, seed=1)
    for split in ("val", "test"):
        assert torch.equal(whole(a, split), whole(b, split)) and a.fingerprint(split) == b.fingerprint(split)
    assert not torch.equal(whole(a, "val"), whole(other, "val"))
    assert not torch.equal(whole(a, "val")[:20], whole(a, "test"))
    prints = {a.fingerprint("val"), other.fingerprint("val"), Points2D(Ring(7), num_val=50).fingerprint("val")}
    assert len(prints) == 3


def test_a_loader_goes_on_in_the_middle_of_an_epoch() -> None:
    data, again = Points2D(num_train=100, batch_size=10), Points2D(num_train=100, batch_size=10)
    loader, resumed = data.train_dataloader(), again.train_dataloader()
    batches = iter(loader)
    for _ in range(4):
        next(batches)
    resumed.load_state_dict(loader.state_dict())
    assert torch.equal(torch.cat([b["image"] for b in batches]), torch.cat([b["image"] for b in resumed]))


@pytest.mark.parametrize("world", [Ring(5, std=0.1), TwoMoons(), Mixture1D((0.0, 1.0), weights=(1.0, 2.0))], ids=repr)
def test_plain_data_describe_it(world, tmp_path) -> None:
    from pytorch_lightning import LightningDataModule

    from lit_gen.training.loading import build_data

    data = Points2D(world, num_train=64, seed=3)
    key = LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY
    torch.save({key: dict(data.hparams)}, tmp_path / "data.ckpt")
    checkpoint = torch.load(tmp_path / "data.ckpt", weights_only=True) | {"path": "data.ckpt"}
    again = build_data(checkpoint)
    assert isinstance(again, Points2D) and repr(again.world) == repr(world)
    assert torch.equal(whole(data, "train"), whole(again, "train"))


def test_sizes_that_make_no_sense_are_named() -> None:
    with pytest.raises(UserError, match="num_train is 0"):
        Points2D(num_train=0).check()
    with pytest.raises(UserError, match="num_val is -1"):
        Points2D(num_val=-1).check()
