"""The commands of docs/translation.md are run, in the order in which they stand there, and its data are read."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lit_gen import datamodules
from lit_gen.__main__ import main

PAGE = (Path(__file__).parent.parent / "docs" / "translation.md").read_text("utf-8")
COMMANDS = [shlex.split(line)[1:] for line in PAGE.splitlines() if line.startswith("    lit-gen ")]
DATA = [yaml.safe_load(block)["data"] for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
TINY = {
    "fit": (
        *("--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--samples.num_samples", "2"),
        *("--trainer.accelerator", "cpu", "--data.batch_size", "2", "--model.generator.features", "4"),
        *("--model.discriminator.features", "4", "--model.discriminator.receptive_field", "16"),
    ),
    "translate": ("--device", "cpu"),
    "predict": ("--trainer.accelerator", "cpu"),
    "evaluate": ("--device", "cpu"),
}
OF_FOLDERS = ("--data.image_size", "16", "--data.load_size", "18")
RANDOM = np.random.default_rng(0)


def save(*paths: str, height: int = 20, width: int = 24, channels: int = 3, values: int = 256) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (height, width, channels)[: 2 if channels == 1 else 3]
        Image.fromarray(RANDOM.integers(0, values, shape, dtype=np.uint8)).save(path)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a little of all that the page is about."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIT_GEN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    for i in range(10):
        save(f"data/facades/train/{i}.png", f"data/facades/test/{i}.jpg", width=48)
        save(*(f"data/horse2zebra/{folder}/{i}.png" for folder in ("trainA", "trainB", "testA", "testB")))
        save(
            f"data/maps/a/{i}.png", f"data/maps/b/{i}.png", f"data/street/photos/{i}.jpg", f"data/faces/images/{i}.jpg"
        )
        for folder in ("labels", "instances"):
            save(f"data/street/{folder}/{i}.png", channels=1, values=4)
    rows = [f"{i}.jpg,{('black', 'blond', 'brown')[i % 3]},{i % 2}" for i in range(10)]
    Path("data/faces/attributes.csv").write_text("\n".join(["file,hair,smiling", *rows]))
    factors = np.stack([np.arange(60) % 3, np.arange(60) % 2], axis=1)
    np.savez("data/sprites.npz", images=RANDOM.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8), factors=factors,
             segmentation=RANDOM.integers(0, 6, (60, 16, 16), dtype=np.uint8),
             factor_names=np.array(["hair", "topwear"]))  # fmt: skip
    save("plans/one.png", "plans/deep/two.jpg", height=31, width=9)
    save("plans/large.png", height=140, width=700)
    return tmp_path


def test_the_commands_run_and_write_what_the_page_says(page: Path) -> None:
    assert [command[0] for command in COMMANDS] == ["fit"] * 3 + ["translate"] * 4 + ["predict"] * 2 + ["evaluate"] * 4
    for command in COMMANDS:
        own = OF_FOLDERS if command[0] == "fit" and "--data.folder" in command else ()
        blocks = ("--model.generator.blocks", "1") if "translation/cyclegan_unpaired_images" in command else ()
        assert main([*command, *TINY[command[0]], *own, *blocks]) == 0, command
    for folder in ("houses", "large"):
        sizes = {path.relative_to(folder).as_posix(): Image.open(path).size for path in Path(folder).rglob("*.png")}
        assert sizes == {"one.png": (9, 31), "deep/two.png": (9, 31), "large.png": (700, 140)}
    counts = {name: len(list(Path(name).iterdir())) for name in ("zebras", "horses", "predictions", "sprites")}
    assert counts == {"zebras": 10, "horses": 10, "predictions": 10, "sprites": 6}
    written = [json.loads(Path(name).read_text()) for name in ("pairs.json", "fid.json", "segmentation.json")]
    scores = [entry["metrics"] for entry in (*written, *written[2]["more"])]
    domains = json.loads(Path("domains.json").read_text())
    assert domains["metrics"].keys() >= {"domain_accuracy_mean", "domain_accuracy_back_mean", "cycle_psnr_mean"}
    assert domains["real"].keys() == {"domain_accuracy_mean", "domain_accuracy_back_mean"}
    assert "l1_mean" in scores[2] and scores[3].keys() >= {"segmentation_accuracy_mean", "segmentation_iou_mean"}
    assert scores[0].keys() >= {"psnr_mean", "ssim_mean", "l1_mean"} and scores[1].keys() >= {"fid", "kid_mean"}


def test_the_data_can_be_laid_out_so(page: Path) -> None:
    assert {settings["class_path"] for settings in DATA} == {
        "PairedImages", "UnpairedImages", "LabelledMaps", "AttributeImages", "Sprites"
    }  # fmt: skip
    batches = {}
    for settings in DATA:
        data = getattr(datamodules, settings["class_path"])(**settings["init_args"])
        data.check()
        batches[settings["class_path"]] = next(iter(data.batches("train", 2)))
    assert batches["PairedImages"]["source"].shape == (2, 3, 192, 256)
    assert batches["LabelledMaps"]["label_map"].shape == batches["LabelledMaps"]["instance"].shape == (2, 256, 256)
    assert batches["AttributeImages"]["attributes"].shape == (2, 4)
    assert {"source", "image"} <= batches["UnpairedImages"].keys() & batches["Sprites"].keys()
