"""What latents are worth: the table's rows and numbers, held-out images only, and what cannot be asked."""

import pytest
import torch

from lit_gen.commands.diagnose import features
from lit_gen.datamodules import Digits

FAST = ("--labels_per_class", 5, "--repeats", 2, "--steps", 60)


def test_the_table_holds_every_kind(diagnose, table, check_files, linear):
    linear(8)
    said = diagnose("features", *FAST, "--fine_tune_steps", 5)
    check_files("features.png", "features.csv", "features_summary.csv")
    rows, means = table("features.csv"), table("features_summary.csv")
    kinds = [
        *((name, "k-means", "0") for name in ("pixels", "PCA", "encoder")),
        *((name, "classifier", "5") for name in ("pixels", "PCA", "encoder")),
        *((f"encoder, {how}", "classifier", "5") for how in ("fine-tuned", "from scratch")),
    ]
    assert [(row["features"], row["method"], row["labels_per_class"]) for row in means] == kinds
    for row, kind in zip(means, kinds, strict=True):
        own = [float(r["accuracy"]) for r in rows if (r["features"], r["method"], r["labels_per_class"]) == kind]
        assert len(own) == 2 == int(row["repeats"])
        assert float(row["mean"]) == pytest.approx(sum(own) / 2, abs=1e-5)
        assert float(row["deviation"]) == pytest.approx(abs(own[0] - own[1]) / 2**0.5, abs=1e-5)
    by_kind = {(row["features"], row["method"]): float(row["mean"]) for row in means}
    assert by_kind["pixels", "classifier"] > 0.7 and by_kind["pixels", "k-means"] > 0.5
    assert said.out.count("±") == len(kinds)


def test_a_turned_code_is_worth_as_much_as_pixels(diagnose, table, linear):
    """All 64 numbers: the encoder and PCA only turn the images, and a linear classifier starts elsewhere."""
    linear(64)
    diagnose("features", "--labels_per_class", 30, "--repeats", 1, "--steps", 300, "--fine_tune_steps", 0)
    means = {(row["features"], row["method"]): float(row["mean"]) for row in table("features_summary.csv")}
    assert len(means) == 6
    assert means["encoder", "classifier"] == pytest.approx(means["pixels", "classifier"], abs=0.03)
    assert means["PCA", "classifier"] == pytest.approx(means["pixels", "classifier"], abs=0.03)


def test_it_is_seeded(diagnose, table, linear):
    tables = []
    for seed in (1, 1, 2):
        linear(8)
        diagnose("features", *FAST, "--fine_tune_steps", 3, "--seed", seed)
        tables.append(table("features.csv"))
    assert tables[0] == tables[1] != tables[2]


def test_several_numbers_of_labels_and_hidden_layers(diagnose, table, linear):
    linear(4)
    arguments = ("--labels_per_class", 2, 6, "--hidden", 16, "--repeats", 1, "--steps", 20, "--fine_tune_steps", 2)
    diagnose("features", *arguments)
    counts = [row["labels_per_class"] for row in table("features_summary.csv")]
    assert counts == ["0"] * 3 + ["2"] * 5 + ["6"] * 5


def test_labels_are_drawn_from_training_images_evenly():
    data = Digits(image_size=None)
    label = features._labels(data, 3)
    (batch,) = data.batches("train", 5000)
    assert torch.equal(label, batch["label"])
    drawn = features._drawn(label, 7, 0)
    assert len(set(drawn)) == 70 and torch.bincount(label[drawn]).tolist() == [7] * 10
    assert drawn != features._drawn(label, 7, 1)


def test_what_cannot_be_asked(diagnose, linear):
    linear(4, num_classes=10)
    assert "its encoder is told the class, which is the answer" in diagnose("features", status=2).err
    linear(4)
    said = diagnose("features", "--labels_per_class", 1000, status=2)
    assert "--labels_per_class is 1000, but of class" in said.err


def test_an_encoder_without_gradient_is_only_frozen(diagnose, table, linear):
    model = linear(4)
    model.__class__ = type("Frozen", (type(model),), {"encode": torch.no_grad()(type(model).encode)})
    assert "not fine-tuned: no gradient passes the encode of Frozen" in diagnose("features", *FAST).out
    assert len(table("features_summary.csv")) == 6
