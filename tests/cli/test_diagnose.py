"""Every diagnosis from end to end on a tiny model, what it finds where the answer is known, and wrong inputs."""

import csv
import warnings
from functools import partial
from pathlib import Path

import numpy
import pytest
import torch
from jsonargparse import Namespace
from PIL import Image

from lit_gen.commands.diagnose import directions, latents, neighbours
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.usage import KINDS
from lit_gen.datamodules import Digits
from lit_gen.functional.information import MutualInformation
from lit_gen.functional.quantize import from_uint8
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANGenerator
from lit_gen.training.loading import read_checkpoint

VALUES = {
    "--images": ["1", "2", "5"],
    "--label": ["1"],
    "--dims": ["0", "-1"],
    "--classes": ["1", "2", "3"],
    "--weights": ["raw"],
    "--device": ["cpu"],
    "--trust": ["package"],
    "--data": ["Digits"],
    "--data.KEY": ["--data.batch_size", "8"],
    "--extractor": ["InceptionV3"],
    "--extractor.KEY": ["--extractor.weights_path", "weights.pth"],
    "--split": ["val"],
    "--eta": ["0.1"],
    "--ways": ["pca", "tsne"],
    "--num_images": ["50"],
    "--plane": ["data"],
    "--real": ["val"],
    "--pixel": ["3", "4"],
    "--times": ["0.1", "0.9"],
}


def table(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_files(folder: str, *names: str) -> None:
    assert sorted(path.name for path in Path(folder).iterdir()) == sorted(names)
    for name in names:
        if name.endswith((".png", ".gif")):
            with Image.open(Path(folder) / name) as image:
                image.load()
                assert min(image.size) > 50
                assert len(numpy.unique(numpy.asarray(image.convert("L")))) > 5  # something is drawn


@pytest.fixture
def diagnose(lit_gen, trained):
    """``lit-gen diagnose`` on the tiny run, into the folder ``out``."""

    def run(kind: str, *arguments: object, checkpoint: object = trained, status: int = 0):
        ckpt = () if checkpoint is None else ("--ckpt_path", checkpoint)
        said = lit_gen("diagnose", kind, *arguments, *ckpt, "--output", "out")
        assert said.status == status, said.err
        return said

    return run


def test_interpolation_starts_and_ends_at_the_samples(diagnose, lit_gen, trained):
    diagnose("interpolate", "--images", 3, 1, 4, "--columns", 5, "--frames", 6)
    check_files("out", "interpolate.png", "interpolate.csv", "interpolate.gif")
    rows = table("out/interpolate.csv")
    assert len(rows) == 2 * 2 * 5
    assert [row["way"] for row in rows[:10:5]] == ["linear", "spherical"]
    norms = [float(row["norm"]) for row in rows[5:10]]
    assert min(norms) > 0.9 * min(norms[0], norms[-1])

    lit_gen("sample", "--ckpt_path", trained, "--num_samples", 5, "--output", "x.npz")
    options = Namespace(device="cpu", weights="ema", trust=[], seed=0, label=None)
    model = LatentModel.load(read_checkpoint(trained / "checkpoints/last.ckpt"), options)
    images = model.images(model.latents(range(5))).permute(0, 2, 3, 1).numpy().astype(int)
    assert abs(images - numpy.load("x.npz")["images"]).max() <= 1


def test_a_conditional_model_draws_one_class(diagnose, conditional):
    diagnose("interpolate", "--label", 7, "--frames", 0, checkpoint=conditional)
    check_files("out", "interpolate.png", "interpolate.csv")
    diagnose("directions", "--num_directions", 2, checkpoint=conditional)
    diagnose("vanishing", "--steps", 2, "--num_samples", 20, checkpoint=conditional)
    for arguments, message in [(("--label", 10), "from 0 to 9"), (("--label", "nine"), "there is no class 'nine'")]:
        assert message in diagnose("traverse", *arguments, checkpoint=conditional, status=2).err


def test_traversals_change_what_they_are_asked_to(diagnose):
    diagnose("traverse", "--dims", 0, -1, "--columns", 5, "--extent", 2)
    check_files("out", "traverse.png", "traverse.csv")
    rows = table("out/traverse.csv")
    assert [int(row["dim"]) for row in rows] == [0] * 5 + [7] * 5
    assert [float(row["value"]) for row in rows[:5]] == [-2, -1, 0, 1, 2]


def test_directions_are_those_of_the_first_layer(diagnose, trained):
    diagnose("directions", "--num_directions", 3, "--weights", "raw")
    check_files("out", "directions.png", "directions.csv")
    weight = read_checkpoint(trained / "checkpoints/last.ckpt")["state_dict"]["generator.layers.0.weight"]
    _, s, vh = torch.linalg.svd(weight.flatten(1).T, full_matrices=False)
    rows = table("out/directions.csv")
    assert [float(row["stretch"]) for row in rows] == pytest.approx((s[:3] ** 2).tolist(), rel=1e-3)
    for row, wanted in zip(rows, vh, strict=False):
        n = torch.tensor([float(row[f"n_{j}"]) for j in range(8)])
        assert abs(float(n @ wanted)) == pytest.approx(1, abs=1e-3)


def test_directions_of_a_categorical_code_are_those_of_its_weights():
    """Most of its numbers are 0 in every latent, and none is taken for another."""
    auxiliary = MutualInformation(categorical=(10,), continuous=2)
    generator = partial(DCGANGenerator, features=4)
    module = GAN((1, 8, 8), None, generator, auxiliary=auxiliary, latent_dim=5).eval()
    _, (weight,), _ = directions._space(LatentModel(module, 0), 0)
    assert torch.allclose(weight, module.generator.layers[0].weight.flatten(1).T, atol=1e-6)


def test_directions_of_a_generator_with_styles_are_those_of_its_styles(diagnose, monkeypatch):
    from lit_gen.nn.stylegan2 import StyleGAN2Generator

    make = partial(StyleGAN2Generator, features=4, max_features=8, style_dim=6, mapping_layers=2)
    model = GAN((1, 8, 8), generator=make, latent_dim=5).eval()
    monkeypatch.setattr(latents, "load_model", lambda *_: model)
    diagnose("directions", "--num_directions", 6)
    assert {f"n_{j}" for j in range(6)} <= set(rows := table("out/directions.csv")[0]) and "n_6" not in rows
    assert "has 6 numbers" in diagnose("directions", "--num_directions", 7, status=2).err


def test_arithmetic_averages_the_classes_that_the_classifier_sees(diagnose, monkeypatch, conditional):
    from lit_gen.commands.diagnose import arithmetic

    # After 12 steps all samples look alike, so which is of which class is decided by their brightness.
    def judge(images: torch.Tensor) -> torch.Tensor:
        order = images.float().mean(dim=(1, 2, 3)).argsort().argsort()
        return torch.nn.functional.one_hot(order % 10, 10).float()

    monkeypatch.setattr(arithmetic, "_judge", lambda data, model: judge)
    diagnose("arithmetic", "--classes", 8, 3, 1, "--num_samples", 60)
    check_files("out", "arithmetic.png", "arithmetic.csv")
    rows = table("out/arithmetic.csv")
    assert [row["class"] for row in rows[:9]] == ["8"] * 3 + ["3"] * 3 + ["1"] * 3
    assert [row["what"] for row in rows[9:]] == ["mean"] * 3 + ["result"] * 7
    assert "is conditional" in diagnose("arithmetic", "--classes", 1, 2, 3, checkpoint=conditional, status=2).err
    few = diagnose("arithmetic", "--classes", 1, 2, 3, "--num_samples", 10, status=2)
    assert "only 1 of 10 samples are of class '1'" in few.err


def test_data_without_labels_have_no_classes_to_add(diagnose, conditional, tmp_path):
    for i in range(40):
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 5 * i).save(folder / f"{i}.png")
    data = (
        "--data",
        "ImageFolder",
        "--data.folder",
        folder,
        "--data.image_size",
        8,
        "--data.val_size",
        5,
        "--data.test_size",
        5,
    )
    said = diagnose("arithmetic", "--classes", 1, 2, 3, *data, status=2)
    assert "have no labels" in said.err and said.err.count("\n") == 1
    said = diagnose("vanishing", "--steps", 1, *data, "--data.channels", 1, checkpoint=conditional, status=2)
    assert "is conditional, but the images of pictures have no labels" in said.err and said.err.count("\n") == 1


def test_gradients_are_measured_of_each_checkpoint(diagnose, trained):
    checkpoints = (trained / "checkpoints/best.ckpt", trained)
    arguments = ("--steps", 60, "--every", 20, "--num_samples", 40, "--seed", 1)
    diagnose("vanishing", *arguments, "--ckpt_path", *checkpoints, checkpoint=None)
    check_files("out", "vanishing.png", "vanishing.csv")
    rows = table("out/vanishing.csv")
    assert [(int(row["checkpoint"]), int(row["step"])) for row in rows] == [
        (i, step) for i in (0, 1) for step in (0, 20, 40, 60)
    ]
    assert rows[0]["discriminator_loss"] == ""
    first, last = rows[4], rows[-1]
    assert float(last["discriminator_loss"]) < float(rows[5]["discriminator_loss"])
    shrunk = {name: float(last[name]) / float(first[name]) for name in ("minimax", "non_saturating")}
    assert shrunk["minimax"] < shrunk["non_saturating"]
    before = Path("out/vanishing.csv").read_text()
    diagnose("vanishing", *arguments, "--ckpt_path", *checkpoints, checkpoint=None)
    assert Path("out/vanishing.csv").read_text() == before


class Copycat(torch.nn.Module):
    """Draws given images one after the other."""

    num_classes, image_shape = None, (1, 8, 8)

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.images, self.drawn = images, 0

    def sample(self, num: int, label: object = None, generator: object = None) -> torch.Tensor:
        self.drawn += num
        return from_uint8(self.images[self.drawn - num : self.drawn])


def images(split: str) -> torch.Tensor:
    return next(iter(Digits(image_size=None).batches(split, 2000)))["image"]


def test_copies_of_training_images_are_found(diagnose, monkeypatch):
    monkeypatch.setattr(neighbours, "load_sampler", lambda *_: Copycat(images("train")[5:]))
    said = diagnose("neighbours", "--num_samples", 90, "--batch_size", 40, "--shown", 3)
    check_files("out", "neighbours_pixels.png", "neighbours_classifier.png", "neighbours.csv", "neighbours_summary.csv")
    for row in table("out/neighbours_summary.csv"):
        assert float(row["ratio"]) == pytest.approx(0, abs=0.01)
        assert float(row["copying"]) < -10 and float(row["close"]) == float(row["nearer"]) == 1
    rows = table("out/neighbours.csv")
    assert [int(row["train_index"]) for row in rows if row["space"] == "pixels"] == list(range(5, 95))
    assert "pixels: distance to train over that of held-out images 0," in said.out


def test_held_out_images_are_no_copies(diagnose, monkeypatch):
    monkeypatch.setattr(neighbours, "load_sampler", lambda *_: Copycat(images("val")))
    diagnose("neighbours", "--num_samples", 200, "--split", "test")
    for row in table("out/neighbours_summary.csv"):
        assert float(row["ratio"]) == pytest.approx(1, abs=0.15)
        assert abs(float(row["copying"])) < 3.5 and float(row["close"]) < 0.05


def test_a_model_that_has_been_trained_a_little_copies_nothing(diagnose):
    diagnose("neighbours", "--num_samples", 50, "--neighbours", 2)
    assert all(float(row["copying"]) > 0 for row in table("out/neighbours_summary.csv"))


def test_collapse_is_plotted_of_a_run_that_was_watched(lit_gen):
    short = ("--trainer.max_steps", 6, "--trainer.val_check_interval", 2, "--evaluation.metrics", "[]")
    watch = "--trainer.callbacks=[{class_path: Diversity, init_args: {num_samples: 40, alarm: 0.9}}]"
    with warnings.catch_warnings(record=True):
        assert lit_gen("fit", "--config", "tiny.yaml", *short, watch).status == 0
    said = lit_gen("diagnose", "collapse", "--ckpt_path", "last", "--output", "out")
    assert said.status == 0, said.err
    check_files("out", "collapse.png", "collapse.csv")
    rows = table("out/collapse.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert set(rows[0]) == {"step", "features", "pixels", "label_entropy", "label_divergence", "classes_found"}
    assert 0 <= float(rows[0]["features"]) < 1


def test_the_bilinear_game_needs_no_checkpoint(diagnose):
    diagnose("bilinear", "--steps", 50, "--eta", 0.3, checkpoint=None)
    check_files("out", "bilinear.png", "bilinear.csv")
    last = {row["update"]: float(row["distance"]) for row in table("out/bilinear.csv") if row["step"] == "50"}
    assert last["simultaneous"] == pytest.approx((1 + 0.09) ** 25, rel=1e-4)
    assert last["extragradient"] < 0.2 and last["optimistic"] < 0.2 and 0.8 < last["alternating"] < 1.2


def test_other_files_in_the_folder_are_left_alone(diagnose):
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    for _ in range(2):
        diagnose("bilinear", checkpoint=None)
    check_files("out", "mine.txt", "bilinear.png", "bilinear.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_the_short_help_is_accepted(lit_gen, trained, kind):
    assert f"diagnose {kind}" in lit_gen("diagnose", kind, "--help").out
    arguments = []
    for option in KINDS[kind].options:
        value = VALUES.get(option.flag, ["7"])
        if option.flag not in ("--ckpt_path", "--runs", "--output"):
            arguments += value if option.flag.endswith(".KEY") else [option.flag, *value]
    if any(option.flag == "--ckpt_path" for option in KINDS[kind].options):
        arguments += ["--ckpt_path", trained, "--runs", "elsewhere"]
    # Arguments are understood before the output is looked at.
    said = lit_gen("diagnose", kind, *arguments, "--output", "out.png")
    assert "--output is out.png: a diagnosis writes several files" in said.err, said.err


def test_a_model_without_latents_is_told_so(diagnose, monkeypatch):
    monkeypatch.setattr(latents, "load_model", lambda *_: Copycat(images("val")))
    assert "has no latents that could be chosen" in diagnose("traverse", status=2).err
