"""Every shipped configuration of translation runs, with small networks: steps, a validation, grids, checkpoints."""

import csv
import json
import sys
from pathlib import Path

import numpy
import pytest
import torch
import yaml
from PIL import Image

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main
from lit_gen.contracts import SupportsAttributes

sys.path.insert(0, str(Path(__file__).parent / "models"))
from methods import small_networks

CONFIGS = sorted(Path(lit_gen.configs.__file__).parent.glob("translation/*.yaml"))
SHORT = (
    *("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
    *("--samples.num_samples", "3", "--data.batch_size", "2", "--trainer.log_every_n_steps", "1"),
    *("--trainer.accelerator", "cpu"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a little of everything, in the forms that the real sets have."""
    root = tmp_path_factory.mktemp("data")
    random = numpy.random.default_rng(0)

    def pixels(*shape: int) -> numpy.ndarray:
        return random.integers(0, 256, shape, dtype=numpy.uint8)

    (root / "lpc_sprites").mkdir()
    numpy.savez(
        root / "lpc_sprites" / "sprites64.npz",
        images=pixels(120, 64, 64, 3),
        segmentation=random.integers(0, 6, (120, 64, 64), dtype=numpy.uint8),
        factors=(numpy.arange(120)[:, None] // numpy.array([20, 4, 2, 1, 1, 1]) % 6).astype(numpy.uint8),
        factor_names=numpy.array(["body", "bottomwear", "topwear", "hair", "action", "direction"]),
    )
    emoji = root / "noto_emoji_people"
    horses = [root / "horse2zebra" / f"train{domain}" for domain in "AB"]
    cities = [root / "cityscapes" / kind for kind in ("photos", "labels", "instances")]
    for folder in (emoji / "images", root / "facades" / "train", *horses, *cities):
        folder.mkdir(parents=True)
    with (emoji / "attributes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "base", "skin_tone", "gender"])
        for i in range(60):
            table.writerow([f"{i}.png", i // 2, "light", ("man", "woman")[i % 2]])
            Image.fromarray(pixels(32, 32, 4)).save(emoji / "images" / f"{i}.png")
    (root / "celeba" / "images").mkdir(parents=True)
    lines = ["400", "Black_Hair Blond_Hair Brown_Hair Male Young"]
    for i in range(400):
        Image.fromarray(pixels(12, 10, 3)).save(root / "celeba" / "images" / f"{i}.jpg")
        lines.append(" ".join([f"{i}.jpg", *(str(2 * (i >> bit & 1) - 1) for bit in range(5))]))
    (root / "celeba" / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    for i in range(30):
        Image.fromarray(pixels(20, 40, 3)).save(root / "facades" / "train" / f"{i}.png")
        for domain in "AB":
            Image.fromarray(pixels(20, 20, 3)).save(root / "horse2zebra" / f"train{domain}" / f"{i}.png")
        for kind, map_or_photo in (("photos", pixels(20, 20, 3)), ("labels", pixels(20, 20) % 34)):
            Image.fromarray(map_or_photo).save(root / "cityscapes" / kind / f"{i}.png")
        Image.fromarray(pixels(20, 20) // 64).save(root / "cityscapes" / "instances" / f"{i}.png")
    return root


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_runs(path: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_GEN_DATA", str(data))
    monkeypatch.setenv("LIT_GEN_CACHE", str(data / "cache"))
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load(path.read_text("utf-8"))
    init = {**given["model"].get("init_args", {}), **small_networks(given["model"])}
    small = {"model": {"class_path": given["model"]["class_path"], "init_args": init}}
    if "load_size" in given["data"]["init_args"]:  # at the papers' sizes it would take long
        small["data"] = {
            **given["data"],
            "init_args": {**given["data"]["init_args"], "image_size": 48, "load_size": 52},
        }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    assert main(["fit", "--config", f"translation/{path.stem}", "--config", "small.yaml", *SHORT]) == 0
    (run,) = (tmp_path / "runs").glob("*/version_0")
    for file in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        assert (run / file).is_file(), file
    monitor = given["checkpoint"]["monitor"]
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows if row[monitor]] == ["2", "4"]
    for step in (2, 4):  # whatever is asked for can be had
        entry = json.loads((run / "evaluation" / f"step_{step:08d}.json").read_text())
        results = [entry, *entry.get("more", [])]
        settings = {name for result in results for name in result["protocol"]["settings"]}
        assert settings >= set(given["evaluation"]["metrics"])
    model = lit_gen.load(run / "checkpoints" / "last.ckpt")
    source, parts = torch.zeros(1, *model.source_shape), 3
    batch = {"source": source, "label_map": source[:, 0].long(), "instance": source[:, 0].int()}
    if isinstance(model, SupportsAttributes):
        batch = {"image": source, "wanted": torch.eye(len(model.attribute_names))[:1]}
        parts = 1 + len(model.changeable)
    assert model.translate(batch).shape == (1, *model.image_shape)
    size = model.image_shape[1] + 2
    with Image.open(run / "samples" / "step_00000004.png") as grid:
        assert grid.size == (parts * size + 2, 3 * size + 2), "source, outputs and target of three images"
