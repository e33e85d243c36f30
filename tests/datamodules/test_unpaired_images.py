import csv
from collections import Counter

import pytest
import torch

from lit_gen.datamodules import UnpairedImages
from lit_gen.datamodules.order import Order
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def make(folder, *others, **settings):
    return UnpairedImages(str(folder), *map(str, others), **({"image_size": 4, "num_workers": 0} | settings))


def reds(loader, name):
    return [number for batch in loader for number in batch[name][:, 0, 0, 0].tolist()]


@pytest.fixture
def horses(photos):
    photos("trainA", 12)
    photos("trainB", 30, start=100)
    photos("testA", 5, start=50)
    return photos("testB", 4, start=150).parent


@pytest.mark.parametrize("cache", ["always", "never"])
def test_cyclegans_folders(horses, cache):
    data = make(horses, val_size=2, cache=cache)
    data.check()
    assert data.image_shape == data.source_shape == (3, 4, 4) and data.class_names is None
    assert [data.num_images(split) for split in SPLITS] == [28, 2, 4]
    assert [make(horses, val_size=2, direction="BtoA").num_images(split) for split in SPLITS] == [10, 2, 5]
    batches = list(data.batches("test", 3))
    assert sorted(reds(batches, "image")) == [150, 151, 152, 153]
    assert set(reds(batches, "source")) < {50, 51, 52, 53, 54} and len(set(reds(batches, "source"))) == 4
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [0, 1, 2, 3]
    train, val = reds(data.batches("train", 3), "image"), reds(data.batches("val", 3), "image")
    assert sorted(train + val) == list(range(100, 130))


def test_shorter_images_are_not_repeated_in_the_fixed_order(horses):
    data = make(horses, val_size=0, direction="BtoA")
    assert len(reds(data.batches("train", 5), "image")) == 12
    assert len(reds(data.batches("test", 5), "image")) == 5
    assert sorted(Counter(reds(data.batches("test", 5), "source")).values()) == [1, 1, 1, 2]


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_epoch_is_as_long_as_the_larger_domain(horses, cache, direction):
    data = make(horses, val_size=0, cache=cache, direction=direction, batch_size=5)
    larger, smaller = ("image", "source") if direction == "AtoB" else ("source", "image")
    loader = data.train_dataloader()
    orders = []
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 6
        assert sorted(reds(batches, larger)) == list(range(100, 130))
        rounds = reds(batches, smaller)
        for start in (0, 12):
            assert sorted(rounds[start : start + 12]) == list(range(12)), "each once, then again"
        assert rounds[:12] != rounds[12:24] and len(set(rounds[24:])) == 6
        orders.append((reds(batches, larger), rounds))
    assert orders[0][0] != orders[1][0] and orders[0][1] != orders[1][1]


def test_partners_are_independent():
    order = Order(2000, 4, shuffle=True, sets={"image": 2000, "source": 2000})
    first, second = order.epoch(0).unbind(1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(2000))
    assert abs(torch.corrcoef(torch.stack([first, second]).double())[0, 1]) < 4 / 2000**0.5
    assert (first == second).sum() < 8
    assert not torch.equal(first, order.epoch(1)[:, 0])


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_take_what_one_would(horses, cache, world_size):
    def batches(size, **order):
        return list(make(horses, val_size=0, cache=cache)._loader("train", size, drop_last=True, shuffle=True, **order))

    shards = [batches(2, rank=rank, world_size=world_size) for rank in range(world_size)]
    for whole, *parts in zip(batches(2 * world_size), *shards, strict=True):
        assert whole.keys() == {"image", "source", "index", "source_index", "epoch", "visit"}
        for name in whole:
            assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])


def test_memory_files_and_workers_are_the_same(horses):
    kinds = ({"cache": "always"}, {"cache": "never"}, {"cache": "never", "num_workers": 2})
    runs = []
    for kind in kinds:
        loader = make(horses, batch_size=4, **kind).train_dataloader()
        runs.append([batch for _ in range(2) for batch in loader])
    for one, *others in zip(*runs, strict=True):
        for other in others:
            assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cache", ["always", "never"])
def test_resumes_after_any_batch(horses, cache):
    def loader():
        return make(horses, val_size=0, cache=cache, batch_size=7).train_dataloader()

    def stream(loader, epochs):
        return [(b["image"].tolist(), b["source"].tolist(), b["visit"].tolist()) for _ in range(epochs) for b in loader]

    full = stream(loader(), 3)
    assert len(full) == 12
    for taken in range(1, 8):
        first, seen = loader(), []
        while len(seen) < taken:
            for b in first:
                seen.append((b["image"].tolist(), b["source"].tolist(), b["visit"].tolist()))
                if len(seen) == taken:
                    break
        again = loader()
        again.load_state_dict(first.state_dict())
        assert seen + stream(again, 3 - taken // 4) == full


def test_another_domain_does_not_continue_an_epoch(horses, photos):
    before = make(horses, val_size=0, batch_size=7).train_dataloader()
    next(iter(before))
    photos("trainA", 11, start=0)
    photos("trainA", 13)
    after = make(horses, val_size=0, batch_size=7).train_dataloader()
    with pytest.warns(
        UserWarning, match=r"had 30 images with 12 sources .* has 30 images with 13 sources .*not continued"
    ):
        after.load_state_dict(before.state_dict())


def test_each_is_cut_and_mirrored_for_itself(photos):
    # The same noise everywhere: what differs is where it was cut and whether it was mirrored.
    from PIL import Image

    a, b = photos("a", 1), photos("b", 1)
    noise = torch.randint(0, 256, (9, 9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    for folder in (a, b):
        for number in range(60):
            Image.fromarray(noise).save(folder / f"{number:03}.png")
    data = make(a, b, image_size=8, load_size=9, horizontal_flip=True, batch_size=48, val_size=0)
    out = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert set(out) == {"image", "source", "index", "source_index"}
    same = (out["image"] == out["source"]).flatten(1).all(dim=1).float().mean()
    assert same < 0.4  # an eighth by chance
    kinds = {name: len({image.numpy().tobytes() for image in out[name]}) for name in ("image", "source")}
    assert kinds == {"image": 8, "source": 8}, "four places, mirrored or not"
    plain = data.on_after_batch_transfer(next(iter(data.batches("train", 4))), 0)
    assert len({image.numpy().tobytes() for image in plain["image"]}) == 1


def test_domains_of_a_table(photos, tmp_path):
    folder = photos("emoji", 40)
    path = tmp_path / "attributes.csv"
    with path.open("w", newline="") as file:
        rows = [[f"{i:03}.png", ("man", "woman", "person")[i % 3], i % 2] for i in range(40)]
        csv.writer(file).writerows([["file", "gender", "hat"], *rows])
    settings = {"table": str(path), "where_a": {"gender": "man", "hat": 0}, "where_b": {"gender": ["woman", "person"]}}
    data = make(folder, **settings)
    data.check()
    images = [number for split in SPLITS for number in reds(data.batches(split, 4), "image")]
    assert sorted(images) == [i for i in range(40) if i % 3]
    assert set(reds(data.train_dataloader(), "source")) <= {i for i in range(40) if i % 6 == 0}
    data = make(folder, **settings | {"where_a": {"gender": "man"}}, group="hat", val_size=0, test_size=1)
    for split in ("train", "test"):
        assert len({number % 2 for number in reds(data.batches(split, 4), "image")}) == 1
    (folder / "001.png").unlink()
    with pytest.raises(UserError, match=r"001\.png is absent, and attributes\.csv names it"):
        make(folder, **settings).check()


def test_grey_and_colour(horses):
    data = make(horses, channels=1, source_channels=3, image_size=(4, 6))
    assert data.image_shape == (1, 4, 6) and data.source_shape == (3, 4, 6)
    batch = next(iter(data.batches("test", 2)))
    assert batch["image"].shape == (2, 1, 4, 6) and batch["source"].shape == (2, 3, 4, 6)


def test_fingerprints(horses):
    data = make(horses)
    prints = {make(horses, **kind).fingerprint("test") for kind in ({}, {"direction": "BtoA"}, {"image_size": 5})}
    assert len(prints) == 3 and make(horses, load_size=6, cache="never").fingerprint("test") == data.fingerprint("test")
    before = data.fingerprint("test")
    (horses / "testA" / "000.png").write_bytes((horses / "testA" / "001.png").read_bytes())
    assert make(horses).fingerprint("test") != before, "sources count, too"


def test_what_is_wrong(horses, photos, tmp_path):
    (horses / "trainA" / "003.png").write_bytes(b"")
    (horses / "testB" / "001.png").write_bytes(b"no image")
    with pytest.raises(
        UserError, match=r"2 files in .* cannot be used: .*testB/001\.png: .*; .*trainA/003\.png: cannot"
    ):
        make(horses).check()
    with pytest.raises(UserError, match=r"there is no folder .*trainA.*testB"):
        make(photos("c", 3)).check()
    with pytest.raises(UserError, match="go together"):
        make(horses, table="t.csv")
    photos("d/train", 9)
    photos("e/train", 9)
    photos("e/val", 3)
    with pytest.raises(UserError, match=r"the split 'val' of .*d has 3 images and 0 sources"):
        make(tmp_path / "d", tmp_path / "e", val_size=0).check()


@pytest.mark.data
def test_real_domains(data_root):
    folder = data_root / "noto_emoji_people"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    data = make(
        folder / "images", table=str(folder / "attributes.csv"), where_a={"gender": "man"}, where_b={"gender": "woman"},
        image_size=16, cache="never",
    )  # fmt: skip
    data.check()
    assert sum(data.num_images(split) for split in SPLITS) == 486
    assert sum(data._source(split).sets["source"] for split in SPLITS) == 486
