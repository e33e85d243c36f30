"""Folders through tiny trained models of pix2pix and CycleGAN."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.training.loading import load

SHORT = (
    *("--trainer.max_steps", 3, "--trainer.val_check_interval", 3, "--samples.num_samples", 2, "--ema.half_life", 20),
    *("--evaluation.metrics", "[]", "--trainer.accelerator", "cpu", "--data.batch_size", 2, "--data.image_size", 16),
    *("--model.discriminator.features", 4, "--model.discriminator.receptive_field", 16, "--runs", "runs"),
)
LOCAL = ("--model.generator.norm", "none", "--model.generator.blocks", 1, "--model.generator.features", 4)


def noise(*shape: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def pixels(path: object) -> np.ndarray:
    return np.asarray(Image.open(str(path)))


def _fit(fit, root: Path, config: str, folders: tuple[str, ...], *arguments: object) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for i in range(20):
            noise(16, 32 if len(folders) == 1 else 16, 3, seed=i).save(root / folder / f"{i}.png")
    data = ("--data.root", root, "--data.folder", Path(folders[0]).parent)
    return fit(root, "--config", f"translation/{config}", *data, *SHORT, *arguments)


@pytest.fixture(scope="session")
def pix2pix(fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("--model.generator.features", 4, "--model.generator.max_features", 8)
    return _fit(fit, tmp_path_factory.mktemp("pix2pix"), "pix2pix_paired_images", ("pairs/train",), *small)


@pytest.fixture(scope="session")
def cyclegan(fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without norms, so that a pixel depends on its surroundings alone, with larger weights, from grey sources."""
    own = ("--data.source_channels", 1, "--model.identity_weight", 0)
    folders = ("domains/trainA", "domains/trainB")
    run = _fit(fit, tmp_path_factory.mktemp("cyclegan"), "cyclegan_unpaired_images", folders, *LOCAL, *own)
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    for state in (checkpoint["state_dict"], checkpoint["callbacks"]["EMA"]["average"]):
        for name, value in state.items():
            if "generator." in name and value.ndim == 4:
                value *= 6
    torch.save(checkpoint, run / "checkpoints/last.ckpt")
    return run


@pytest.fixture
def photos(lit_gen):
    """A folder of images of several sizes, modes and formats, and what belongs in none."""
    Path("in/deep/er").mkdir(parents=True)
    noise(21, 30, 3).save("in/b.png")
    noise(9, 5, 3, seed=1).save("in/deep/er/a.jpg")
    noise(16, 16, seed=2).save("in/grey.bmp")
    noise(12, 40, 4, seed=3).save("in/a.b.webp", lossless=True)
    Image.fromarray(np.full((3, 2), 40000, np.uint16)).save("in/wide.tiff")
    Path("in/notes.txt").touch()
    Path("in/.hidden.png").touch()
    return lit_gen


def translate(lit_gen, model: Path, *arguments: object):
    said = lit_gen("translate", "--ckpt_path", model, "--input", "in", "--device", "cpu", *arguments)
    assert (said.status, said.err) == (0, ""), said
    return said


def test_names_sizes_and_pixels_are_those_of_the_model_on_each_file(photos, cyclegan):
    said = translate(photos, cyclegan, "--output", "new/out")
    assert said.out == "5 images: new/out\n"
    files = {path.relative_to("new/out").as_posix(): pixels(path) for path in Path("new/out").rglob("*.png")}
    assert {name: image.shape for name, image in files.items()} == {
        "b.png": (21, 30, 3),
        "deep/er/a.png": (9, 5, 3),
        "grey.png": (16, 16, 3),
        "a.b.png": (12, 40, 3),
        "wide.png": (3, 2, 3),
    }
    assert not list(Path("new").rglob(".*"))
    model = load(cyclegan / "checkpoints/last.ckpt")
    grey = torch.tensor(np.asarray(Image.open("in/b.png").convert("L")))[None, None]
    expected = to_uint8(model.translate({"source": from_uint8(grey)}))[0].permute(1, 2, 0)
    assert np.array_equal(files["b.png"], expected.numpy())


def test_the_other_way_averaged_and_raw(photos, cyclegan):
    translate(photos, cyclegan, "--output", "back", "--back")
    translate(photos, cyclegan, "--output", "raw", "--back", "--weights", "raw")
    model = load(cyclegan / "checkpoints/last.ckpt", "raw")
    image = torch.tensor(pixels("in/b.png")).permute(2, 0, 1)[None]
    expected = to_uint8(model.translate_back({"image": from_uint8(image)}))[0, 0]
    assert np.array_equal(pixels("raw/b.png"), expected.numpy())
    assert not np.array_equal(pixels("raw/b.png"), pixels("back/b.png"))


def test_noise_depends_on_the_seed_and_the_name_alone(photos, pix2pix):
    translate(photos, pix2pix, "--output", "a")
    translate(photos, pix2pix, "--output", "c", "--seed", 1)
    shutil.copy("in/b.png", "in/same.png")
    Path("in/deep/er/a.jpg").unlink()
    translate(photos, pix2pix, "--output", "b")
    assert np.array_equal(pixels("a/b.png"), pixels("b/b.png"))
    assert not np.array_equal(pixels("a/b.png"), pixels("c/b.png"))
    assert not np.array_equal(pixels("b/b.png"), pixels("b/same.png"))


def test_tiles_of_a_model_that_sees_less_far_than_their_margin_make_the_same_image(lit_gen, cyclegan):
    """A pixel depends on others at most 24 away, the margin is 32; tiles begin at multiples of 4, as its maps do."""
    Path("in").mkdir()
    noise(320, 256, 3).save("in/large.png")
    noise(190, 100, 3).save("in/small.png")
    translate(lit_gen, cyclegan, "--output", "whole")
    translate(lit_gen, cyclegan, "--output", "tiles", "--tile", 192, "--overlap", 128)
    translate(lit_gen, cyclegan, "--output", "seams", "--tile", 192, "--overlap", 0)
    far = {
        name: np.abs(pixels("whole/large.png").astype(int) - pixels(f"{name}/large.png")) for name in ("tiles", "seams")
    }
    assert far["tiles"].max() <= 1
    assert far["seams"].max() > 1
    assert np.array_equal(pixels("whole/small.png"), pixels("tiles/small.png"))


def test_only_files_of_the_same_names_are_replaced(photos, cyclegan):
    Path("out").mkdir()
    for name in ("b.png", "mine.png", "000000.png"):
        Path("out", name).write_bytes(b"mine")
    translate(photos, cyclegan, "--output", "out", "--overwrite")
    assert Path("out/mine.png").read_bytes() == Path("out/000000.png").read_bytes() == b"mine"
    assert pixels("out/b.png").shape == (21, 30, 3)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")])
def test_a_stop_in_the_middle_leaves_nothing(photos, cyclegan, monkeypatch, error):
    from lit_gen.commands import translate as command

    written, save = [], command.save_png

    def stop(image, path):
        if written:
            raise error
        written.append(path)
        save(image, path)

    monkeypatch.setattr(command, "save_png", stop)
    before = sorted(Path().rglob("*"))
    words = ("translate", "--ckpt_path", cyclegan, "--input", "in", "--output", "out", "--device", "cpu")
    if isinstance(error, KeyboardInterrupt):
        assert photos(*words).status == 130
    else:
        with pytest.raises(RuntimeError):
            photos(*words)
    assert written and sorted(Path().rglob("*")) == before


MISTAKES = [
    ((), "--input is missing: name a folder"),
    (("--input", "in"), "--output is missing: name a folder"),
    (("--input", "inn", "--output", "out"), "--input is inn, but there is no such folder; did you mean 'in'?"),
    (("--input", "in/b.png", "--output", "out"), "a file; name the folder"),
    (("--input", "empty", "--output", "out"), "there are no images in empty"),
    (("--input", "in", "--output", "in/out"), "which lies in --input"),
    (("--input", "in", "--output", "empty/.."), "is not empty"),
    (("--input", "in", "--output", "out.png"), "--output is out.png: images keep their names, in a folder; name one"),
    (("--input", "bad", "--output", "out"), "bad/cut.png: cannot be read as an image"),
    (("--input", "twice", "--output", "out"), "would both be written as b.png"),
    (("--input", "in", "--output", "out", "--tile", 1), "--tile is 1, and must be at least 2"),
    (("--input", "in", "--output", "out", "--tile", 8, "--overlap", 8), "--overlap is 8, and must be from 0 to 7"),
    (("--input", "in", "--output", "out", "--overlap", 8), "--overlap is given without --tile"),
    (("--input", "in", "--output", "out", "--target", "a=b"), "changes no attributes"),
    (("--input", "in", "--output", "out", "--style", "in/b.png"), "takes no style from an image"),
    (("--input", "in", "--output", "out", "--instances", "in"), "translates no label maps"),
    (("--input", "in", "--output", "out", "--back"), "translates one way only"),
    (("--input", "in", "--output", "out", "--weights", "e"), "must be one of ema, raw"),
    (("--input", "in", "--output", "out", "--tiles", 8), "did you mean '--tile'?"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message[:30] for _, message in MISTAKES])
def test_a_mistake_is_one_line_and_writes_nothing(photos, pix2pix, arguments, message):
    for folder in ("empty", "bad", "twice"):
        Path(folder).mkdir()
    Path("bad/cut.png").write_bytes(Path("in/b.png").read_bytes()[:900])
    noise(4, 4, 3).save("bad/good.png")
    noise(4, 4, 3).save("twice/b.png")
    noise(4, 4, 3).save("twice/b.jpg")
    before = sorted(Path().rglob("*"))
    said = photos("translate", "--ckpt_path", pix2pix, "--device", "cpu", *arguments)
    assert (said.status, said.err.count("\n"), said.out) == (2, 1, "")
    assert message in said.err
    assert sorted(Path().rglob("*")) == before


def test_a_model_that_only_samples(lit_gen, trained):
    Path("in").mkdir()
    said = lit_gen("translate", "--ckpt_path", trained, "--input", "in", "--output", "out")
    assert said.status == 2 and "does not translate images" in said.err


def test_predict_writes_the_test_split_of_pairs(lit_gen, pix2pix):
    said = lit_gen("predict", "--ckpt_path", pix2pix, "--output", "predicted", "--trainer.accelerator", "cpu")
    assert said.status == 0, said.err
    assert [path.name for path in sorted(Path("predicted").iterdir())] == ["000000.png", "000001.png"]
    assert pixels("predicted/000000.png").shape == (16, 16, 3)
