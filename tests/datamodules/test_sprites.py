import itertools

import numpy as np
import pytest
import torch

from lit_gen.contracts import SupportsFactors
from lit_gen.datamodules import Sprites
from lit_gen.errors import UserError
from lit_gen.functional.label_colours import label_colours

SPLITS = ("train", "val", "test")
NAMES = {
    "factor_names": ["body", "hair", "action"],
    "actions": ["walk", "slash"],
    "segmentation_names": ["background", "body", "hair"],
}


def content():
    """Every combination of three factors, which the pixel in the corner tells; the segmentation is red's third."""
    factors = np.array(list(itertools.product(range(4), range(3), range(2), range(2)))[::2], np.uint8)[:, :3]
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(factors), 8, 12, 3), dtype=np.uint8)
    images[:, 0, 0] = factors
    return {"images": images, "factors": factors, "segmentation": images[..., 0] // 86}


@pytest.fixture
def path(tmp_path):
    np.savez_compressed(tmp_path / "tiny.npz", **content(), **NAMES)
    return tmp_path / "tiny.npz"


def make(path, **settings):
    return Sprites(str(path), **({"batch_size": 4} | settings))


def whole(data, split):
    batches = list(data.batches(split, 5))
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def corners(data, split, name="image"):
    return [tuple(pixel) for pixel in whole(data, split)[name][:, :, 0, 0].tolist()]


def test_images_and_labels(path):
    data = make("tiny.npz", root=str(path.parent), label="action")
    data.check()
    assert (data.name, data.image_shape, data.class_names) == ("tiny", (3, 8, 12), ("slash", "walk"))
    assert data.source_shape is data.num_label_classes is data.attribute_names is data.attribute_groups is None
    assert [data.num_images(split) for split in SPLITS] == [20, 2, 2]
    assert sorted(pixel for split in SPLITS for pixel in corners(data, split)) == list(
        itertools.product(range(4), range(3), range(2))
    )
    for split in SPLITS:
        batch = whole(data, split)
        assert batch["label"].tolist() == (1 - batch["image"][:, 2, 0, 0].long()).tolist()
    assert make(path).class_names is None and "label" not in whole(make(path), "val")


def test_label_maps(path):
    data = make(path, kind="label_maps", horizontal_flip=True)
    data.check()
    assert data.num_label_classes == 3 and data.source_shape is None
    flipped = 0
    for batch in data.train_dataloader():
        out = data.on_after_batch_transfer(batch, 0)
        red = ((out["image"][:, 0] + 1) * 127.5).round().long()
        assert torch.equal(out["label_map"], red // 86) and out["label_map"].dtype == torch.int64
        flipped += (out["label_map"] != batch["label_map"]).flatten(1).any(dim=1).sum()
    assert 3 < flipped < 17


def test_pairs_are_painted(path):
    data, maps = make(path, kind="paired"), make(path, kind="label_maps")
    data.check()
    assert data.source_shape == (3, 8, 12)
    for split in SPLITS:
        batch = whole(data, split)
        assert torch.equal(batch["image"], whole(maps, split)["image"])
        assert torch.equal(batch["source"], label_colours(whole(maps, split)["label_map"]))
        assert torch.equal(data.segmentation(batch), whole(maps, split)["label_map"].long())
    assert (data.num_segments, maps.num_segments, make(path).num_segments) == (3, 3, None)


def test_domains_by_a_factor(path):
    data = make(path, kind="unpaired", where_a={"hair": 0}, where_b={"hair": [1, 2], "action": "walk"}, label="body",
                val_size=0, test_size=6)  # fmt: skip
    data.check()
    assert data.source_shape == data.image_shape and data.independent
    for split in SPLITS[::2]:
        assert all(hair > 0 and action == 0 for _, hair, action in corners(data, split))
        assert all(hair == 0 for _, hair, _ in corners(data, split, "source"))
        batch = whole(data, split)
        assert batch["label"].tolist() == batch["image"][:, 0, 0, 0].tolist(), "labels are the images'"
    plain = make(path, val_size=0, test_size=6)
    assert set(corners(data, "test")) <= set(corners(plain, "test")), "the same split whatever the kind"
    seen = torch.cat([batch["source_index"] for batch in data.train_dataloader()])
    larger = max(len(corners(data, "train")), len(set(seen.tolist())))
    assert len(seen) == larger // 4 * 4


def test_attributes_of_factors(path):
    data = make(path, kind="attributes", attributes=["hair", "action"])
    data.check()
    assert data.attribute_names == ("hair=0", "hair=1", "hair=2", "action=slash", "action=walk")
    assert data.attribute_groups == ((0, 1, 2), (3, 4))
    for split in SPLITS:
        batch = whole(data, split)
        for (_, hair, action), attributes in zip(corners(data, split), batch["attributes"], strict=True):
            expected = [0.0] * 5
            expected[hair] = expected[4 - action] = 1.0
            assert attributes.tolist() == expected
    some = make(path, kind="attributes", attributes=["body"], where={"hair": 2, "body": [0, 3]})
    assert some.attribute_names == ("body=0", "body=3")
    assert {corner[:2] for corner in corners(some, "train")} <= {(0, 2), (3, 2)}
    assert len(make(path, kind="attributes").attribute_names) == 9


def test_factors_are_there_whatever_the_kind(path):
    unpaired = {"kind": "unpaired", "where_a": {"hair": 0}, "where_b": {"hair": 1}}
    # Of two test images there are not enough for both domains.
    for settings, splits in (({}, SPLITS), ({"kind": "label_maps"}, SPLITS), (unpaired, ["train"])):
        data = make(path, **settings)
        assert isinstance(data, SupportsFactors) and data.factor_names == ("body", "hair", "action")
        for split in splits:
            seen = [(body, hair, 1 - action) for body, hair, action in corners(data, split)]
            assert data.factor_values(split).tolist() == [list(row) for row in seen]
    some = make(path, where={"hair": 2, "body": [1, 3]})
    assert some.factor_names == ("body", "action")
    assert some.factor_values("train").tolist() == [
        [body // 2, 1 - action] for body, _, action in corners(some, "train")
    ]


def test_other_sizes(path):
    data = make(path, kind="label_maps", image_size=(4, 6), load_size=(8, 12))
    data.check()
    assert whole(data, "train")["label_map"].shape == (20, 4, 6)
    for batch in data.train_dataloader():
        out = data.on_after_batch_transfer(batch, 0)
        red = ((out["image"][:, 0] + 1) * 127.5).round().long()
        assert out["image"].shape == (4, 3, 4, 6) and torch.equal(out["label_map"], red // 86)
    assert set(whole(make(path, kind="label_maps", image_size=5), "train")["label_map"].unique().tolist()) == {0, 1, 2}
    with pytest.raises(UserError, match=r"load_size is \(4, 4\); it must be at least the images' size, \(8, 12\)"):
        make(path, load_size=4).check()


def test_fingerprints(path):
    kinds = ({}, {"kind": "paired"}, {"kind": "label_maps"}, {"label": "body"}, {"seed": 1}, {"image_size": 4})
    assert len({make(path, **kind).fingerprint("test") for kind in kinds}) == 6
    assert make(path, load_size=16).fingerprint("test") == make(path).fingerprint("test")


def without(name):
    return {key: value for key, value in (content() | NAMES).items() if key != name}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (without("segmentation"), "has no array segmentation, only images"),
        ({**content(), "images": content()["images"] / 255}, "images is float64 .* it must be uint8"),
        ({**content(), "factors": content()["factors"][:5]}, "has 24 images and the factors of 5"),
        ({**content(), "segmentation": content()["segmentation"][:, :4]}, r"segmentation is uint8 \[24, 4, 12\]"),
        ({**content(), **NAMES, "factor_names": ["body"]}, "has 1 factor_names for 3 factors"),
        ({**content(), **NAMES, "actions": ["walk"]}, "action has values that actions does not name"),
        ({**content(), **NAMES, "segmentation_names": ["ground"]}, r"segmentations 0, 1, .*\(24 in all\).* up to 2"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_wrong_files(tmp_path, arrays, message):
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(UserError, match=message) as caught:
        make(tmp_path / "wrong.npz").check()
    assert "\n" not in str(caught.value)


def test_no_npz_file(tmp_path, path):
    with pytest.raises(UserError, match=r"there is no file .*tinny\.npz; did you mean 'tiny\.npz'"):
        make(tmp_path / "tinny.npz").check()
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "short.npz").write_bytes(path.read_bytes()[:2000])
    for name in ("text", "short"):
        with pytest.raises(UserError, match=f"{name}.npz: cannot be read as an npz file"):
            make(tmp_path / f"{name}.npz").check()
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UserError, match="is a single array"):
        make(tmp_path / "one.npy").check()
    damaged = bytearray(path.read_bytes())
    damaged[1500:1510] = bytes(10)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged\.npz: cannot be read"):
        make(tmp_path / "damaged.npz").check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "pairs"}, "kind is 'pairs'; .* did you mean 'paired'"),
        ({"kind": "unpaired"}, "go together"),
        ({"where_a": {"hair": 1}}, "go together"),
        ({"attributes": ["hair"]}, "kind is images"),
        ({"label": "hiar"}, "did you mean 'hair'"),
        ({"kind": "attributes", "attributes": ["legs"]}, "column 'legs'"),
        (
            {"kind": "unpaired", "where_a": {"hair": 9}, "where_b": {"hair": 1}},
            "where_a.hair is '9'.*there are 0, 1, 2",
        ),
        ({"val_size": 40}, "val_size is 40"),
    ],
)
def test_wrong_settings(path, settings, message):
    with pytest.raises(UserError, match=message):
        make(path, **settings).check()


@pytest.mark.data
def test_real_sprites(data_root):
    path = data_root / "lpc_sprites" / "sprites64.npz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    data = make(path, kind="label_maps", label="hair")
    data.check()
    assert data.image_shape == (3, 64, 64) and data.num_label_classes == 6 and data.num_classes == 6
    assert sum(data.num_images(split) for split in SPLITS) == 11664
    batch = next(iter(data.batches("test", 256)))
    image, label_map, label = batch["image"].float(), batch["label_map"], batch["label"]
    assert image.permute(0, 2, 3, 1)[label_map == 0].std(0).max() < 1, "the background has one colour"
    # Hair of one label varies less than hair of all.
    hair = image.permute(0, 2, 3, 1)
    one = (label_map == 4) & (label == 0)[:, None, None]
    assert hair[one].std(0).mean() < 0.8 * hair[label_map == 4].std(0).mean()
