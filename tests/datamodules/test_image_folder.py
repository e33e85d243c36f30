import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.datamodules import ImageFolder
from lit_gen.datamodules.folder_scan import scan
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def fill(folder, size, start=0, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + size):
        Image.new("RGB", (9, 7), (number, 0, 255 - number)).save(folder / f"{number:03}{suffix}")


def numbers(data, split):
    """The numbers that `fill` painted the images of a split with, in their order."""
    return [number for batch in data.batches(split, 8) for number in batch["image"][:, 0, 0, 0].tolist()]


def make(folder, **settings):
    return ImageFolder(str(folder), **({"image_size": 4, "num_workers": 0} | settings))


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_flat_folder(tmp_path, cache):
    fill(tmp_path / "photos", 50)
    data = make("photos", root=str(tmp_path), cache=cache, batch_size=8)
    data.check()
    assert (data.name, data.image_shape, data.num_classes, data.class_names) == ("photos", (3, 4, 4), None, None)
    assert [data.num_images(split) for split in SPLITS] == [40, 5, 5]
    assert sorted(number for split in SPLITS for number in numbers(data, split)) == list(range(50))
    batch = next(iter(data.train_dataloader()))
    assert set(batch) == {"image", "index", "epoch"} and batch["image"].shape == (8, 3, 4, 4)


def test_class_folders(tmp_path):
    for label, name in enumerate(("ape", "bee", "cat")):
        fill(tmp_path / name / "deeper", 20, start=20 * label)
    data = make(tmp_path, val_size=6, test_size=9)
    assert data.class_names == ("ape", "bee", "cat") and data.num_classes == 3
    for split, size in zip(SPLITS, (45, 6, 9), strict=True):
        labels = torch.cat([batch["label"] for batch in data.batches(split, 4)])
        assert labels.tolist() == [number // 20 for number in numbers(data, split)]
        assert labels.bincount(minlength=3).tolist() == pytest.approx([size / 3] * 3, abs=1)
    unlabelled = make(tmp_path, labelled=False)
    assert unlabelled.num_classes is None and "label" not in next(iter(unlabelled.batches("val", 2)))


def test_memory_and_files_are_the_same_data(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, 20)
    cached, read = make(tmp_path), make(tmp_path, cache="never", num_workers=2)
    for split in SPLITS:
        assert cached.fingerprint(split) == read.fingerprint(split)
        for one, other in zip(cached.batches(split, 3), read.batches(split, 3), strict=True):
            assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("given", [("train",), ("train", "val"), ("train", "test"), SPLITS])
def test_split_folders(tmp_path, given):
    start = {"train": 0, "val": 100, "test": 200}
    for split in given:
        for name in ("a", "b"):
            fill(tmp_path / split / name, 10, start=start[split] + (10 if name == "b" else 0))
    data = make(tmp_path, val_size=4, test_size=4)
    assert data.class_names == ("a", "b")
    for split in ("val", "test"):
        found = sorted(numbers(data, split))
        if split in given:
            assert found == list(range(start[split], start[split] + 20))
        else:
            assert len(found) == 4 and max(found) < 100
    assert len({number for split in SPLITS for number in numbers(data, split)}) == 20 * len(given)


def test_class_of_a_split_must_be_known(tmp_path):
    for name in ("train/apple", "train/pear", "test/appel"):
        fill(tmp_path / name, 3)
    with pytest.raises(UserError, match="test/appel is no class of the training images; did you mean 'apple'"):
        make(tmp_path).check()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"image_size": 5}, {"channels": 1}, {"background": "black"}, {"resize": "pad"}, {"labelled": False}],
    ids=lambda change: next(iter(change)),
)
def test_fingerprint_tells_settings_apart(tmp_path, change):
    for name in ("a", "b"):
        fill(tmp_path / name, 10)
    assert make(tmp_path).fingerprint("val") == make(tmp_path, batch_size=2).fingerprint("val")
    assert make(tmp_path).fingerprint("val") != make(tmp_path, **change).fingerprint("val")


def test_fingerprint_tells_files_apart(tmp_path):
    fill(tmp_path, 20)
    before = make(tmp_path).fingerprint("train")
    Image.new("RGB", (9, 7)).save(tmp_path / "003.png")
    assert {make(tmp_path).fingerprint(split) for split in SPLITS}.isdisjoint({before})


def test_extensions_hidden_files_and_links(tmp_path):
    folder = tmp_path / "images"
    for suffix in (".png", ".PNG", ".jpg", ".JPEG", ".Bmp", ".webp", ".tif", ".tiff"):
        fill(folder / "kinds", 1, suffix=suffix)
    fill(folder / ".hidden", 2)
    fill(folder / "kinds", 1, start=7)
    (folder / "kinds" / "._000.png").write_bytes(b"resource fork")
    (folder / "kinds" / "notes.txt").write_text("no image")
    (folder / "kinds" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "kinds" / "dangling.png").symlink_to(folder / "nowhere.png")
    fill(tmp_path / "elsewhere", 2)
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = scan(folder, None)
    assert len(found.paths) == 11 and found.classes == ("kinds", "linked")
    assert list(found.paths) == sorted(found.paths)


@pytest.mark.parametrize("kind", ["empty", "text only", "absent", "a file"])
def test_no_images(tmp_path, kind):
    folder = tmp_path / "pictures"
    (tmp_path / "picture").mkdir()
    if kind == "a file":
        folder.write_text("")
    elif kind != "absent":
        folder.mkdir()
    if kind == "text only":
        (folder / "readme.txt").write_text("")
    with pytest.raises(UserError) as caught:
        make(folder).check()
    assert str(folder) in str(caught.value) and "set --data.folder" in str(caught.value)
    assert "\n" not in str(caught.value)
    if kind == "absent":
        assert "did you mean 'picture'" in str(caught.value)


def test_image_beside_class_folders(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, 3)
    fill(tmp_path, 1)
    with pytest.raises(UserError, match=r"000\.png lies in no class folder.*--data\.labelled false"):
        make(tmp_path).check()
    assert make(tmp_path, labelled=False).num_classes is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(tmp_path):
    fill(tmp_path / "closed", 1)
    (tmp_path / "closed").chmod(0)
    with pytest.raises(UserError, match="closed: cannot be listed"):
        make(tmp_path).check()


def spoil(folder):
    """Leaves 30 good images, a zero-byte one, a truncated one and a text file that is called an image."""
    fill(folder, 30)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:600])
    (folder / "whole.jpg").unlink()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("no image")


@pytest.mark.parametrize("cache", ["auto", "never"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_damaged_file_ends_the_run(tmp_path, cache, num_workers):
    spoil(tmp_path)
    data = make(tmp_path, cache=cache, num_workers=num_workers, batch_size=4)
    assert data.image_shape == (3, 4, 4)
    for call in (data.check, lambda: [list(data.batches(split, 4)) for split in SPLITS]):
        with pytest.raises(UserError, match=r"(empty|text)\.png: cannot|truncated\.jpg: cannot") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cache", ["auto", "never"])
def test_damaged_files_are_skipped_and_counted(tmp_path, cache):
    spoil(tmp_path / "spoilt")
    fill(tmp_path / "good", 30)
    data = make(tmp_path / "spoilt", cache=cache, on_error="skip", num_workers=2)
    data.check()
    with pytest.warns(UserWarning, match=r"3 of 33 images in .*spoilt are skipped; the first: .*empty\.png: cannot"):
        assert [data.num_images(split) for split in SPLITS] == [24, 3, 3]
    good = make(tmp_path / "good")
    for split in SPLITS:
        assert numbers(data, split) == numbers(good, split), "as if the damaged files had never been there"


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_only_damaged_files(tmp_path, on_error):
    (tmp_path / "empty.png").write_bytes(b"")
    data = make(tmp_path, on_error=on_error, val_size=0, test_size=0)
    for call in (data.check, data.train_dataloader):
        with pytest.raises(UserError, match=r"empty\.png: cannot be read"):
            call()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": "squash"}, "resize is 'squash'; it must be one of crop, pad, stretch"),
        ({"channels": 4}, "channels is 4; it must be one of 1, 3"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"cache": "disk"}, "cache is 'disk'"),
        ({"background": "whiteish"}, "background is 'whiteish'"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"val_size": 30}, "val_size is 30, but there are only 18 images"),
        ({"batch_size": 64}, "16 images, fewer than one global batch of 64"),
    ],
)
def test_wrong_settings(tmp_path, settings, message):
    fill(tmp_path, 20)
    with pytest.raises(UserError, match=message):
        make(tmp_path, **settings).train_dataloader()


@pytest.mark.data
def test_real_images(data_root):
    folder = data_root / "noto_emoji_people" / "images"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    data = make(folder, image_size=32, cache="never", num_workers=2, batch_size=32)
    data.check()
    assert sum(data.num_images(split) for split in SPLITS) == 1914
    batch = next(iter(data.train_dataloader()))
    # The emoji stand on a transparent ground, which has become white.
    assert (batch["image"][:, :, 0, 0].float().mean() > 230) and batch["image"].float().std() > 20


def test_files_can_be_sent_to_workers_that_are_not_forked(tmp_path):
    fill(tmp_path, 20)
    files = make(tmp_path, cache="never")._source("train")
    sent = pickle.loads(pickle.dumps(files))
    assert len(sent) == len(files) and torch.equal(sent.item(3, 0)["image"], files.item(3, 0)["image"])
