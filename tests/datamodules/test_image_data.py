import json
from types import SimpleNamespace

import pytest
import pytorch_lightning
import torch
import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule

from lit_gen.datamodules import (
    CIFAR10,
    MNIST,
    AttributeImages,
    Digits,
    FashionMNIST,
    ImageDataModule,
    ImageFolder,
    LabelledMaps,
    PairedImages,
    Sprites,
    UnpairedImages,
)
from lit_gen.datamodules.image_data import data_root
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.training.loading import build_data

SPLITS = ("train", "val", "test")


def attach(data, rank=0, world_size=1, **settings):
    """Gives a datamodule what it asks of a trainer."""
    progress = SimpleNamespace(current=SimpleNamespace(processed=0))
    defaults = {"limit_train_batches": 1.0, "overfit_batches": 0}
    data.trainer = SimpleNamespace(
        global_rank=rank, world_size=world_size, fit_loop=SimpleNamespace(epoch_progress=progress),
        **(defaults | settings),
    )  # fmt: skip
    return data


def whole(data, split):
    batches = list(data.batches(split, 128))
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_digits_is_what_it_says():
    data = Digits()
    assert data.name == "digits" and data.image_shape == (1, 32, 32)
    assert data.num_classes == 10 and data.class_names == tuple("0123456789")
    assert [data.num_images(split) for split in SPLITS] == [1297, 200, 300]
    data.check()
    for split in SPLITS:
        images = whole(data, split)
        assert images["image"].dtype == torch.uint8 and images["image"].shape == (data.num_images(split), 1, 32, 32)
        assert images["label"].dtype == images["index"].dtype == torch.int64
        assert images["index"].tolist() == list(range(data.num_images(split)))
        counts = images["label"].bincount(minlength=10)
        assert counts.min() >= 0.8 * counts.max()


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data = Digits(image_size=None)
    assert data.image_shape == (1, 8, 8)
    rows = torch.cat([whole(data, split)["image"].flatten(1) for split in SPLITS])
    expected = torch.from_numpy(load_digits().data * 255 / 16).round().to(torch.uint8)
    assert rows.max() == 255
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))


def test_splits_are_fixed_by_their_seed_alone():
    a, b, other = Digits(seed=1), Digits(seed=1, batch_size=7, horizontal_flip=True), Digits(seed=2)
    for split in SPLITS:
        assert torch.equal(whole(a, split)["image"], whole(b, split)["image"])
        assert a.fingerprint(split) == b.fingerprint(split) != other.fingerprint(split)
    assert len({a.fingerprint(split) for split in SPLITS}) == 3


def test_fingerprint_tells_sizes_apart():
    prints = {Digits(image_size=size).fingerprint("val") for size in (None, 16, 32, (16, 32))}
    assert len(prints) == 4


def test_training_batches_are_converted_and_flipped():
    data = Digits(image_size=16, horizontal_flip=True)
    loader = data.train_dataloader()
    plain = whole(data, "train")["image"]
    flipped = 0
    for batch in loader:
        out = data.on_after_batch_transfer(batch, 0)
        assert set(out) == {"image", "label", "index"} and out["image"].dtype == torch.float32
        for image, index in zip(out["image"], out["index"], strict=True):
            same, mirrored = from_uint8(plain[index]), from_uint8(plain[index].flip(-1))
            assert torch.equal(image, same) or torch.equal(image, mirrored)
            flipped += not torch.equal(image, same)
    assert 0.4 < flipped / len(plain) < 0.6


@pytest.mark.parametrize("horizontal_flip", [False, True])
def test_evaluation_batches_are_never_flipped(horizontal_flip):
    data = Digits(image_size=8, horizontal_flip=horizontal_flip)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader(), data.batches("train", 50)):
        for batch in loader:
            out = data.on_after_batch_transfer(batch, 0)
            assert torch.equal(out["image"], from_uint8(batch["image"]))
            assert out["image"].min() >= -1 and out["image"].max() <= 1


def test_other_batches_pass_unchanged():
    data = Digits()
    batch = torch.zeros(3)
    assert data.on_after_batch_transfer(batch, 0) is batch
    converted = data.on_after_batch_transfer({"image": torch.full((1, 1, 2, 2), 0.5)}, 0)
    assert (converted["image"] == 0.5).all()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_loaders_are_shared_out_by_the_trainer(world_size):
    shards = [attach(Digits(image_size=8), rank, world_size) for rank in range(world_size)]
    loaders = [data.train_dataloader() for data in shards]
    assert {len(loader) for loader in loaders} == {1297 // (64 * world_size)}
    train = torch.cat([batch["index"] for loader in loaders for batch in loader])
    assert len(train.unique()) == len(train)
    for name, size in (("val_dataloader", 200), ("test_dataloader", 300)):
        seen = torch.cat([batch["index"] for data in shards for batch in getattr(data, name)()])
        assert sorted(seen.tolist()) == list(range(size))


@pytest.mark.parametrize("split", ["val", "test"])
def test_fewer_held_out_images_than_processes(split):
    for num, world_size, most in ((1, 2, "1 process"), (2, 3, "2 processes")):
        short = attach(Digits(image_size=8, val_size=num, test_size=num), 0, world_size)
        with pytest.raises(UserError, match=f"the {split} split has {num} image.* use {most}$") as caught:
            getattr(short, f"{split}_dataloader")()
        assert f"{world_size} or more, or none (--data.{split}_size)" in str(caught.value)
        enough = attach(Digits(image_size=8, val_size=world_size, test_size=world_size), world_size - 1, world_size)
        assert len(getattr(enough, f"{split}_dataloader")()) == 1


def test_empty_validation_split_has_no_loader():
    assert Digits(val_size=0).val_dataloader() == []


def test_epoch_of_a_resumed_run():
    data = attach(Digits(image_size=8))
    data.trainer.fit_loop.epoch_progress.current.processed = 3
    assert next(iter(data.train_dataloader()))["epoch"].unique().tolist() == [3]


@pytest.mark.parametrize(("limit", "batches"), [(4, 4), (0.5, 10), (1.0, 20), (100, 20)])
def test_loader_knows_lightnings_limit(limit, batches):
    loader = attach(Digits(image_size=8), limit_train_batches=limit).train_dataloader()
    assert len(list(loader)) == batches and len(loader) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": (4, -1)}, "image_size is "),
        ({"val_size": 2000}, "val_size is 2000, but there are only 1497 images"),
        ({"test_size": -1}, "test_size is -1"),
    ],
)
def test_wrong_values(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        Digits(**arguments).check()
    assert "\n" not in str(caught.value)


def test_unknown_split():
    with pytest.raises(UserError, match=r"there is no split 'tset'; .*did you mean 'test'"):
        Digits().num_images("tset")


@pytest.mark.parametrize(("size", "batch_size"), [(1000, 1024)])
def test_batch_larger_than_the_training_split(size, batch_size):
    data = Digits(val_size=1797 - 300 - size, batch_size=batch_size)
    with pytest.raises(UserError, match=r"1000 images, .* set --data\.batch_size to 1000 or less"):
        data.train_dataloader()


def test_data_root(monkeypatch):
    monkeypatch.delenv("LIT_GEN_DATA", raising=False)
    assert str(data_root(None)) == "data"
    monkeypatch.setenv("LIT_GEN_DATA", "/elsewhere")
    assert str(data_root(None)) == "/elsewhere" and str(data_root("/here")) == "/here"


@pytest.mark.parametrize("cls", [Digits, MNIST, FashionMNIST, CIFAR10, ImageFolder])
def test_command_line_reads_every_argument(cls):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data")
    arguments = ["--data", cls.__name__, "--data.image_size", "[16, 24]", "--data.seed", "3", "--data.val_size", "0.2"]
    if cls is ImageFolder:
        arguments += ["--data.folder", "photos", "--data.labelled", "false", "--data.channels", "1"]
        arguments += ["--data.resize", "pad", "--data.cache", "never"]
    data = parser.instantiate(parser.parse_args(arguments)).data
    assert type(data) is cls and data.image_shape[1:] == (16, 24) and data.seed == 3


@pytest.mark.parametrize("cls", [Digits, MNIST, FashionMNIST, CIFAR10, ImageFolder])
def test_rebuilt_from_what_a_checkpoint_holds(cls, tmp_path):
    arguments = {"folder": "photos"} if cls is ImageFolder else {}
    data = cls(**arguments, batch_size=5, image_size=(16, 24), seed=4)
    hparams = dict(data.hparams)
    assert hparams["_class_path"] == f"{cls.__module__}.{cls.__qualname__}"
    key = LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY
    torch.save({key: hparams, "pytorch-lightning_version": pytorch_lightning.__version__}, tmp_path / "data.ckpt")
    loaded = torch.load(tmp_path / "data.ckpt", weights_only=True)[key]
    assert loaded.pop("_class_path") and dict(cls(**loaded).hparams) == hparams
    again = cls.load_from_checkpoint(tmp_path / "data.ckpt", weights_only=True)
    assert dict(again.hparams) == hparams and again.image_shape == data.image_shape


TRANSLATION = [
    (PairedImages, {"folder": "a", "folder_b": "b", "direction": "BtoA", "source_channels": 1}),
    (PairedImages, {"folder": "a", "table": "t.csv", "match": "m", "where_a": {"x": "1"}, "where_b": {"x": ["2"]}}),
    (UnpairedImages, {"folder": "a", "load_size": (20, 30)}),
    (LabelledMaps, {"folder": "a", "label_folder": "b", "num_label_classes": 5, "ignore": 7}),
    (AttributeImages, {"folder": "a", "table": "t.csv", "attributes": ["x", "y"], "label": "z"}),
    (Sprites, {"path": "s.npz", "kind": "unpaired", "where_a": {"hair": 0}, "where_b": {"hair": [1, 2]}}),
]


@pytest.mark.parametrize(("cls", "settings"), TRANSLATION)
def test_data_of_translation_are_rebuilt_from_yaml_and_from_a_checkpoint(cls, settings, tmp_path):
    given = {**settings, "batch_size": 5, "image_size": [16, 24], "seed": 4}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data")
    text = yaml.safe_dump({"data": {"class_path": cls.__name__, "init_args": json.loads(json.dumps(given))}})
    data = parser.instantiate(parser.parse_string(text)).data
    assert type(data) is cls and data.image_shape == (3, 16, 24)
    for name, value in settings.items():
        assert data.hparams[name] == value
    key = LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY
    hparams = {name: value for name, value in data.hparams.items() if name != "_instantiator"}
    torch.save({"datamodule_hyper_parameters": hparams}, tmp_path / "data.ckpt")
    loaded = {**torch.load(tmp_path / "data.ckpt", weights_only=True), "path": "data.ckpt"}
    assert key == "datamodule_hyper_parameters"
    again = build_data(loaded)
    assert type(again) is cls and str(again) == str(data)


def test_str_opens_nothing():
    assert str(MNIST(root="/nowhere", batch_size=3)).startswith("MNIST(root='/nowhere', download=False, batch_size=3, ")
