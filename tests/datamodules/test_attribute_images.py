import csv

import pytest
import torch

from lit_gen.datamodules import AttributeImages
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")


def make(folder, table, **settings):
    return AttributeImages(str(folder), str(table), **({"image_size": 4, "num_workers": 0} | settings))


def rows(data):
    """The attributes of each image, by the number that it is painted with."""
    batches = [batch for split in SPLITS for batch in data.batches(split, 5)]
    return {
        number: attributes
        for batch in batches
        for number, attributes in zip(batch["image"][:, 0, 0, 0].tolist(), batch["attributes"].tolist(), strict=True)
    }


def write(path, header, lines):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return path


@pytest.fixture
def people(photos, tmp_path):
    folder = photos("people", 30)
    lines = [(f"{i:03}.png", ("red", "fair", "grey")[i % 3], ("no", "yes")[i % 2], "person") for i in range(30)]
    return folder, write(tmp_path / "people.csv", ["file", "hair", "hat", "kind"], lines)


@pytest.mark.parametrize("cache", ["always", "never"])
def test_columns_become_attributes(people, cache):
    data = make(*people, cache=cache)
    data.check()
    assert data.attribute_names == ("hair=fair", "hair=grey", "hair=red", "hat")
    assert data.attribute_groups == ((0, 1, 2), (3,)) and data.num_classes is None
    assert data.image_shape == (3, 4, 4) and data.source_shape is None
    batch = next(iter(data.train_dataloader()))
    assert batch["attributes"].dtype == torch.float32 and batch["attributes"].shape == (16, 4)
    assert data.on_after_batch_transfer(batch, 0)["attributes"] is batch["attributes"]
    assert rows(data) == {i: [float(i % 3 == 1), float(i % 3 == 2), float(i % 3 == 0), float(i % 2)] for i in range(30)}
    chosen = make(*people, attributes=["hat"])
    assert chosen.attribute_names == ("hat",) and rows(chosen) == {i: [float(i % 2)] for i in range(30)}


def test_celebas_file(photos, tmp_path):
    folder = photos("celeba", 12, suffix=".bmp")
    names = ["5_o_Clock_Shadow", "Smiling", "Young"]
    lines = [f"{i:03}.bmp {-1 if i % 2 else 1}  {1 if i < 4 else -1} {'-1' if i else ' 1'}" for i in range(12)]
    path = tmp_path / "list_attr_celeba.txt"
    path.write_text("\n".join(["12", " ".join(names) + " ", *lines]) + "\n")
    data = make(folder, path, batch_size=4)
    data.check()
    assert data.attribute_names == tuple(names) and data.attribute_groups == ((0,), (1,), (2,))
    assert rows(data) == {i: [float(i % 2 == 0), float(i < 4), float(i == 0)] for i in range(12)}
    as_csv = write(tmp_path / "list_attr_celeba.csv", ["image_id", *names], [line.split() for line in lines])
    assert rows(make(folder, as_csv)) == rows(data)


def test_labels_and_conditions(people):
    data = make(*people, attributes=["hat"], label="hair", where={"hair": ["red", "fair"]}, val_size=4, test_size=4)
    data.check()
    assert data.class_names == ("fair", "red") and data.num_classes == 2
    for split, size in zip(SPLITS, (12, 4, 4), strict=True):
        (batch,) = data.batches(split, 20)
        numbers = batch["image"][:, 0, 0, 0]
        assert batch["label"].tolist() == (numbers % 3 == 0).long().tolist()
        assert batch["label"].bincount().tolist() == [size // 2] * 2
        assert batch["attributes"][:, 0].tolist() == (numbers % 2).float().tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attributes": ["hiar"]}, "names the column 'hiar', which .*people.csv has not; did you mean 'hair'"),
        ({"attributes": ["kind"]}, "the attribute 'kind' is 'person' for every image"),
        ({"attributes": []}, "attributes is empty"),
        ({"label": "age"}, "--data.label names the column 'age'.*it has hair, hat, kind"),
        ({"where": {"hair": "blue"}}, "--data.where.hair is 'blue', which .* has nowhere; there are fair, grey, red"),
        ({"where": {"hair": "red", "kind": "person", "hat": "no"}}, "no column of .* has two values"),
    ],
)
def test_wrong_settings(people, settings, message):
    with pytest.raises(UserError, match=message):
        make(*people, **settings).check()


def test_wrong_tables(people, tmp_path):
    folder, path = people
    text = path.read_text()
    for wrong, message in (
        (text.replace("007.png,fair,yes,person", "007.png,fair,yes"), "line 9: has 2 values for 3 columns"),
        (text.replace("007.png", "006.png"), r"line 9: 006\.png has a line already"),
        (text.replace("007.png", "070.png"), r"070\.png is absent, and people\.csv names it"),
        (text.replace("007.png,fair", "007.png,"), "the attribute 'hair' is empty for 1 images"),
        ("file,hair\n", "has no rows"),
        ("", "has no rows"),
    ):
        path.write_text(wrong)
        with pytest.raises(UserError, match=message) as caught:
            make(*people).check()
        assert "\n" not in str(caught.value)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"people\.csv: cannot be read as a table"):
        make(*people).check()
    path.write_text(text)
    (folder / "004.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"004\.png: cannot be read"):
        make(*people).check()


def test_fingerprint_tells_attributes_apart(people):
    kinds = ({}, {"attributes": ["hat"]}, {"label": "hair"}, {"where": {"hair": "red"}})
    assert len({make(*people, **kind).fingerprint("train") for kind in kinds}) == 4
    before = make(*people).fingerprint("train")
    people[1].write_text(people[1].read_text().replace(",yes,", ",No,", 12))
    assert make(*people).fingerprint("train") != before


@pytest.mark.data
def test_real_attributes(data_root):
    folder = data_root / "noto_emoji_people"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    data = make(
        folder / "images", folder / "attributes.csv", attributes=["gender", "skin_tone"], label="gender",
        where={"gender": ["man", "woman"]}, cache="never",
    )  # fmt: skip
    data.check()
    assert sum(data.num_images(split) for split in SPLITS) == 972 and data.class_names == ("man", "woman")
    assert data.attribute_groups == ((0, 1), (2, 3, 4, 5, 6, 7))
    batch = next(iter(data.batches("test", 90)))
    assert (batch["attributes"][:, :2].sum(1) == 1).all() and (batch["attributes"][:, 2:].sum(1) == 1).all()
    assert torch.equal(batch["attributes"][:, 1].long(), batch["label"])
