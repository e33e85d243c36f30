import csv

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.datamodules import PairedImages
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def make(folder, *others, **settings):
    return PairedImages(str(folder), *map(str, others), **({"image_size": 4, "num_workers": 0} | settings))


def reds(data, split, name):
    return [number for batch in data.batches(split, 8) for number in batch[name][:, 0, 0, 0].tolist()]


def side_by_side(folder, size, start=0):
    """Red a on the left, red a + 100 on the right."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + size):
        pixels = np.zeros((6, 16, 3), np.uint8)
        pixels[:, :8, 0], pixels[:, 8:, 0] = number, number + 100
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_halves(tmp_path, direction, cache):
    data = make(side_by_side(tmp_path / "facades", 30), direction=direction, cache=cache)
    data.check()
    assert (data.name, data.image_shape, data.source_shape) == ("facades", (3, 4, 4), (3, 4, 4))
    assert data.num_classes is None and data.num_label_classes is None
    assert [data.num_images(split) for split in SPLITS] == [24, 3, 3]
    shift = 100 if direction == "AtoB" else -100
    for split in SPLITS:
        sources = reds(data, split, "source")
        assert reds(data, split, "image") == [number + shift for number in sources]
    assert sorted(number for split in SPLITS for number in reds(data, split, "source")) == [
        number + (0 if direction == "AtoB" else 100) for number in range(30)
    ]


def test_split_folders_of_halves(tmp_path):
    side_by_side(tmp_path / "train", 10)
    side_by_side(tmp_path / "test", 4, start=50)
    data = make(tmp_path, val_size=2)
    assert [data.num_images(split) for split in SPLITS] == [8, 2, 4]
    assert sorted(reds(data, "test", "source")) == [50, 51, 52, 53]


@pytest.mark.parametrize("splits", [False, True])
def test_two_folders_matched_by_name(photos, splits):
    parts = ("/train", "/test") if splits else ("",)
    for part in parts:
        a = photos(f"a{part}", 20)
        b = photos(f"b{part}", 20, start=100, suffix=".bmp")
    a, b = (a.parent, b.parent) if splits else (a, b)
    data = make(a, b, image_size=(5, 8), source_channels=1)
    data.check()
    assert data.image_shape == (3, 5, 8) and data.source_shape == (1, 5, 8)
    grey = [int(np.asarray(Image.new("RGB", (1, 1), (i, 0, 255 - i)).convert("L"))[0, 0]) for i in range(20)]
    for split in SPLITS:
        images = reds(data, split, "image")
        assert reds(data, split, "source") == [grey[number - 100] for number in images]


def test_size_outside_and_inside_are_kept_apart(tmp_path):
    data = make(side_by_side(tmp_path, 30), load_size=6, batch_size=3)
    assert next(iter(data.train_dataloader()))["image"].shape == (3, 3, 6, 6)
    assert next(iter(data.batches("train", 3)))["image"].shape == (3, 3, 4, 4)
    assert data.fingerprint("train") == make(tmp_path).fingerprint("train")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = data.on_after_batch_transfer(next(iter(loader)), 0)
        assert batch["image"].shape == batch["source"].shape == (3, 3, 4, 4)
        assert batch["image"].dtype == batch["source"].dtype == torch.float32


@pytest.mark.parametrize("cache", ["always", "never"])
def test_both_of_a_pair_are_cut_and_mirrored_alike(tmp_path, cache):
    # Halves that are the same picture, whose every pixel has a value of its own, stay the same picture.
    pixels = np.arange(12 * 15, dtype=np.uint8).reshape(12, 15)
    for number in range(40):
        Image.fromarray(np.concatenate([pixels, pixels], axis=1)).save(tmp_path / f"{number}.png")
    data = make(
        tmp_path, image_size=(10, 12), load_size=(12, 15), horizontal_flip=True, channels=1, cache=cache, batch_size=8
    )
    boxes = {(y, x): pixels[y : y + 10, x : x + 12] for y in range(3) for x in range(4)}
    seen = set()
    for _ in range(3):
        for batch in data.train_dataloader():
            out = data.on_after_batch_transfer(batch, 0)
            assert torch.equal(out["image"], out["source"])
            for image in ((out["image"] + 1) * 127.5).round().to(torch.uint8)[:, 0].numpy():
                (found,) = (
                    (place, mirrored)
                    for place, box in boxes.items()
                    for mirrored in (False, True)
                    if np.array_equal(image[:, ::-1] if mirrored else image, box)
                )
                seen.add(found)
    assert len(seen) > 12, "places and mirrorings of every kind"


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "base", "tone"])
        writer.writerows(rows)
    return path


def test_pairs_of_a_table(photos, tmp_path):
    folder = photos("emoji", 20)
    rows = [(f"{i:03}.png", i % 10, "light" if i < 10 else "dark") for i in range(20)]
    path = table(tmp_path / "attributes.csv", rows)
    settings = {"table": str(path), "match": "base", "where_a": {"tone": "light"}, "where_b": {"tone": ["dark"]}}
    data = make(folder, **settings)
    data.check()
    pairs = [pair for s in SPLITS for pair in zip(reds(data, s, "source"), reds(data, s, "image"), strict=True)]
    assert sorted(pairs) == [(i, i + 10) for i in range(10)]
    table(path, [*rows[:-2], ("020.png", 8, "dark"), ("000b.png", 3, "light")])
    with pytest.raises(UserError) as caught:
        make(folder, **settings).check()
    message = str(caught.value)
    assert "009.png has no partner: no row with base '9' fits --data.where_b" in message
    assert "000b.png has base '3' like 003.png" in message and "020.png is absent" in message
    for change, said in (
        ({"match": "bass"}, "column 'bass'.*did you mean 'base'"),
        ({"where_a": {"tone": "lihgt"}}, "tone is 'lihgt'.*did you mean 'light'"),
        ({"where_a": {"shade": 1}}, "column 'shade'"),
        ({"table": str(tmp_path / "attribute.csv")}, "there is no file .*did you mean 'attributes.csv'"),
        ({"match": None}, "go together"),
    ):
        with pytest.raises(UserError, match=said):
            make(folder, **settings | change).check()


def test_what_is_wrong_is_named_file_by_file(photos):
    a, b = photos("a", 20), photos("b", 20)
    (a / "003.png").unlink()
    (b / "004.png").unlink()
    with pytest.raises(UserError) as caught:
        make(a, b).check()
    assert str(caught.value).startswith(f"2 files in {a} and {b} cannot be used: ")
    assert f"{b / '003.png'} has no partner in {a}" in str(caught.value)
    assert f"{a / '004.png'} has no partner in {b}" in str(caught.value)
    for folder in (a, b):
        Image.new("RGB", (9, 7)).save(folder / "003.png")
        Image.new("RGB", (9, 7)).save(folder / "004.png")
    Image.new("RGB", (9, 8)).save(b / "005.png")
    (a / "006.png").write_bytes(b"")
    (b / "007.png").write_bytes((b / "008.png").read_bytes()[:40])
    with pytest.raises(UserError) as caught:
        make(a, b).check()
    message = str(caught.value)
    assert "\n" not in message and message.startswith("3 files in ")
    assert f"{a / '005.png'} is 9×7 pixels (across × down), but its partner {b / '005.png'} is 9×8" in message
    assert "006.png: cannot be read" in message and "007.png: cannot be read" in message


def test_long_lists_are_cut_and_counted(photos):
    a, b = photos("a", 40), photos("b", 5)
    with pytest.raises(UserError, match=r"35 files .*/005\.png has no partner .*; and 25 more$") as caught:
        make(a, b).check()
    assert str(caught.value).count("has no partner") == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "BtoC"}, "direction is 'BtoC'; it must be one of AtoB, BtoA"),
        ({"source_channels": 2}, "source_channels is 2"),
        ({"load_size": 3}, "load_size is 3; it must be at least image_size, which is 4"),
        ({"where_a": {"tone": "light"}}, "conditions on --data.table"),
        ({"folder_b": "b", "table": "c"}, "both given"),
        ({}, "13 pixels wide, which cannot be halved"),
    ],
)
def test_wrong_settings(tmp_path, settings, message):
    side_by_side(tmp_path, 10)
    Image.new("RGB", (13, 6)).save(tmp_path / "odd.png")
    with pytest.raises(UserError, match=message):
        make(tmp_path, **settings).check()


def test_one_of_two_folders_has_splits(photos):
    photos("a/train", 5)
    photos("b", 5)
    with pytest.raises(UserError, match=r"a has a subfolder train, and .*b has not"):
        make(photos("a/train", 5).parent, photos("b", 5)).check()


@pytest.mark.parametrize("suffix", ["RGBA", "I;16", "L", "P"])
def test_any_mode(tmp_path, suffix):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    grey = np.full((6, 6), 128 * 257, np.uint16)
    images = {
        "RGBA": Image.new("RGBA", (6, 6), (255, 0, 0, 0)),
        "I;16": Image.fromarray(grey),
        "L": Image.new("L", (6, 6), 128),
        "P": Image.new("RGB", (6, 6), (128, 128, 128)).convert("P", palette=Image.Palette.ADAPTIVE),
    }
    for number in range(3):
        images[suffix].save(tmp_path / "a" / f"{number}.png")
        images["L"].save(tmp_path / "b" / f"{number}.png")
    data = make(tmp_path / "a", tmp_path / "b", background="#102030", val_size=0, test_size=0)
    data.check()
    batch = next(iter(data.batches("train", 3)))
    assert batch["source"][0, :, 2, 2].tolist() == ([16, 32, 48] if suffix == "RGBA" else [128] * 3)
    assert (batch["image"] == 128).all()


@pytest.mark.data
def test_real_pairs(data_root):
    folder = data_root / "noto_emoji_people"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    data = make(
        folder / "images", table=str(folder / "attributes.csv"), match="base", image_size=32,
        where_a={"skin_tone": "light"}, where_b={"skin_tone": "dark"},
    )  # fmt: skip
    data.check()
    assert sum(data.num_images(split) for split in SPLITS) == 319
    batch = next(iter(data.batches("test", 16)))
    image, source = batch["image"].float(), batch["source"].float()
    # The drawing is the same and the skin is darker.
    assert (image - source).abs().mean() < 0.25 * (image - source.roll(1, 0)).abs().mean() + 20
    assert image.mean() < source.mean()
