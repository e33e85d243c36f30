import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.__main__ import main
from lit_gen.datamodules import LabelledMaps
from lit_gen.datamodules.label_maps import decode_indices, decode_labels
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def make(root, **settings):
    defaults = {"image_size": (8, 12), "num_workers": 0, "num_label_classes": 4, "batch_size": 4}
    return LabelledMaps("photos", "labels", root=str(root), **(defaults | settings))


def belongs(batch):
    """Whether the photo's pixels are what the label map says (see the fixture)."""
    label = batch["label_map"].long()
    expected = torch.stack([label * 60, label * 60, 255 - label * 60], dim=1)
    image = batch["image"] if batch["image"].dtype == torch.uint8 else (batch["image"] + 1) * 127.5
    return torch.equal(image.round().long(), expected)


@pytest.mark.parametrize("cache", ["always", "never"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_photos_and_their_maps(gradients, cache, num_workers):
    data = make(gradients(20), cache=cache, num_workers=num_workers, instance_folder="instances")
    data.check()
    assert data.image_shape == (3, 8, 12) and data.num_label_classes == 4 and data.class_names is None
    assert [data.num_images(split) for split in SPLITS] == [16, 2, 2]
    for split in SPLITS:
        for batch in data.batches(split, 3):
            assert batch["label_map"].dtype == torch.uint8 and batch["label_map"].shape[1:] == (8, 12)
            assert batch["instance"].dtype == torch.int32
            assert torch.equal(batch["instance"], batch["label_map"].int() * 1000)
            assert belongs(batch)


def test_maps_are_cut_and_mirrored_with_their_photo(gradients):
    data = make(gradients(20), image_size=(5, 7), load_size=(8, 12), horizontal_flip=True, instance_folder="instances")
    plain = make(gradients(20))
    changed = 0
    for batch in data.train_dataloader():
        out = data.on_after_batch_transfer(batch, 0)
        assert out["image"].shape == (4, 3, 5, 7) and out["label_map"].shape == out["instance"].shape == (4, 5, 7)
        assert out["label_map"].dtype == torch.int64 and out["instance"].dtype == torch.int32
        assert belongs(out) and torch.equal(out["instance"], out["label_map"].int() * 1000)
        whole = plain._source("train")["label_map"][out["index"]]
        changed += (out["label_map"] != whole[:, :5, :7]).flatten(1).any(dim=1).sum()
    assert changed > 10


def test_splits_in_folders(gradients, tmp_path):
    root = gradients(12)
    for folder in ("photos", "labels"):
        for split, numbers in (("train", range(8)), ("test", range(8, 12))):
            (root / folder / split).mkdir()
            for number in numbers:
                (root / folder / f"{number:03}.png").rename(root / folder / split / f"{number:03}.png")
    data = make(root, val_size=2)
    assert [data.num_images(split) for split in SPLITS] == [6, 2, 4]
    assert all(belongs(batch) for split in SPLITS for batch in data.batches(split, 4))


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "I"])
def test_index_modes(tmp_path, mode):
    values = np.array([[0, 1, 2], [7, 255, 2]])
    if mode == "P":
        image = Image.fromarray(values.astype(np.uint8), "P")
        image.putpalette(list(range(255, -1, -1)) * 3)
    else:
        image = Image.fromarray(values.astype({"L": np.uint8, "I;16": np.uint16, "I": np.int32}[mode]))
    image.save(tmp_path / "map.tif")
    label = decode_labels(tmp_path / "map.tif", (2, 3), "crop", 3, 7)
    assert label.dtype == torch.uint8 and label.tolist() == [[0, 1, 2], [255, 255, 2]]
    assert decode_indices(tmp_path / "map.tif", (2, 3), "crop").tolist() == values.tolist()


def test_black_and_white_map(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "map.png")
    assert decode_labels(tmp_path / "map.png", (1, 2), "crop", 2, None).tolist() == [[0, 1]]


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(6, 6), (9, 5), (24, 40)])
def test_resized_maps_invent_no_class(tmp_path, resize, size):
    values = np.zeros((12, 20), np.uint8)
    values[:, 10:] = 200
    Image.fromarray(values).save(tmp_path / "map.png")
    label = decode_labels(tmp_path / "map.png", size, resize, 201, None)
    assert set(label.unique().tolist()) == ({0, 200, 255} if resize == "pad" and size != (24, 40) else {0, 200})
    assert decode_indices(tmp_path / "map.png", size, resize).unique().tolist() == [0, 200]
    # The boundary lies in the middle, as it does in a photo that was resized in the same way.
    middle = label[size[0] // 2]
    assert middle[: size[1] // 2].max() == 0 and middle[-(size[1] // 2) :].min() == 200


def test_wrong_indices_are_named_file_by_file(gradients):
    root = gradients(20)
    for name, values in {"003": [9], "004": [4, 5, 6, 7, 8, 9]}.items():
        pixels = np.asarray(Image.open(root / "labels" / f"{name}.png")).copy()
        pixels[0, : len(values)] = values
        Image.fromarray(pixels).save(root / "labels" / f"{name}.png")
    with pytest.raises(UserError) as caught:
        make(root).check()
    message = str(caught.value)
    assert "\n" not in message and message.startswith("2 files in ")
    assert "labels/003.png: has the index 9, but classes run from 0 to 3" in message
    assert "labels/004.png: has the indices 4, 5, 6, 7, 8, …, but" in message
    with pytest.raises(UserError, match=r"labels/004\.png: has the indices 4, 5, 6, 7, 8, but"):
        make(root, ignore=9).check()
    make(root, num_label_classes=10).check()
    with pytest.raises(UserError, match="has the ind"):  # whoever does not check gets no wrong label either
        list(make(root).batches("train", 4))


def test_other_mistakes(gradients):
    root = gradients(20)
    Image.new("L", (12, 9)).save(root / "labels" / "001.png")
    Image.new("RGB", (12, 8)).save(root / "labels" / "002.png")
    (root / "labels" / "003.png").write_bytes(b"")
    (root / "photos" / "004.png").write_bytes(b"")
    (root / "labels" / "005.png").unlink()
    Image.new("L", (12, 8)).save(root / "labels" / "005.jpg")
    with pytest.raises(UserError) as caught:
        make(root).check()
    said = str(caught.value)
    assert said.startswith("5 files in ") and "labels/001.png is 12×9" in said and "004.png: cannot be read" in said
    assert "002.png: has colours (mode RGB)" in said and "003.png: cannot be read" in said
    assert "005.jpg: JPEG changes indices" in said
    (root / "photos" / "000.png").unlink()
    with pytest.raises(UserError, match=r"labels/000\.png has no partner in .*photos$"):
        make(root).check()
    with pytest.raises(UserError, match="num_label_classes is 300; it must be from 1 to 255"):
        make(root, num_label_classes=300)


def test_fingerprint(gradients):
    root = gradients(10)
    kinds = ({}, {"ignore": 3}, {"num_label_classes": 5}, {"instance_folder": "instances"}, {"resize": "pad"})
    assert len({make(root, **kind).fingerprint("train") for kind in kinds}) == len(kinds)
    before = make(root).fingerprint("train"), make(root).fingerprint("val"), make(root).fingerprint("test")
    for path in (root / "labels").iterdir():
        Image.new("L", (12, 8)).save(path)
    after = make(root)
    assert all(after.fingerprint(split) != old for split, old in zip(SPLITS, before, strict=True))


def test_command_line_says_it_and_ends_with_2(gradients, capsys, tmp_path, monkeypatch):
    root = gradients(20)
    Image.new("L", (12, 8), 9).save(root / "labels" / "003.png")
    Image.new("L", (12, 8), 8).save(root / "labels" / "004.png")
    monkeypatch.chdir(tmp_path)
    data = ("--data", "LabelledMaps", "--data.folder", "photos", "--data.label_folder", "labels")
    data += ("--data.root", str(root), "--data.num_label_classes", "4", "--data.image_size", "8")
    assert main(["fit", "--config", "gan/dcgan_digits", *data]) == 2
    error = capsys.readouterr().err
    assert "labels/003.png: has the index 9" in error and "004.png: has the index 8" in error
    assert "Traceback" not in error and len(error.strip().splitlines()) == 1
