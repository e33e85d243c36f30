"""Every shipped configuration runs, with small networks: some steps, a validation with scores, a grid, checkpoints."""

import csv
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from methods import small_networks
from PIL import Image

import lit_gen
import lit_gen.configs
from lit_gen.__main__ import main

CONFIGS = sorted(Path(lit_gen.configs.__file__).parent.glob("*/*.yaml"))
OWN_TESTS = ("translation", "vae")
# These take the checkpoint of another run, which test_code_prior.py, test_latent_diffusion.py and test_reflow.py train
# first.
OVER_ANOTHER = ("vq_codes", "latent_diffusion", "reflow")
SAMPLING = [
    path
    for path in CONFIGS
    if path.parent.name not in OWN_TESTS and not any(part in path.stem for part in OVER_ANOTHER)
]
NAMES = [f"{path.parent.name}/{path.stem}" for path in CONFIGS]
# What makes a run short, and nothing else.
SHORT = (
    *("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"),
    *("--evaluation.num_samples", "20", "--samples.num_samples", "4", "--data.batch_size", "8"),
    *("--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--points.num_points", "100", "--points.num_drawn", "50", "--stacked.num_samples", "20"),
)
# Data that are not scored by FID, and what their best checkpoint is chosen by.
_OWN_MEASURES = {"Points2D": "points/kl", "StackedMNIST": "stacked/kl"}


@pytest.fixture(scope="module")
def data(
    tmp_path_factory: pytest.TempPathFactory, write_idx_files: Callable[..., None], write_sprites: Callable[..., None]
) -> Path:
    """A data root with a little of everything, in the official formats."""
    tmp_path = tmp_path_factory.mktemp("data")
    random = numpy.random.default_rng(0)
    write_idx_files(tmp_path, random)
    write_sprites(tmp_path, random)
    for label in ("circle", "square"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(40):
            pixels = random.integers(0, 256, (40, 56, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.png")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    labels = [i % 10 for i in range(10000)]
    content = {"data": numpy.zeros((10000, 3072), numpy.uint8), "labels": labels}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(pickle.dumps(content))
    return tmp_path


@pytest.mark.parametrize("name", [f"{path.parent.name}/{path.stem}" for path in SAMPLING])
def test_every_configuration_runs(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_GEN_DATA", str(data))
    monkeypatch.setenv("LIT_GEN_CACHE", str(data / "cache"))  # one classifier for all configurations of a data set
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(data / "images")
    model = yaml.safe_load(CONFIGS[NAMES.index(name)].read_text("utf-8"))["model"]
    small = {"model": {**model, "init_args": {**model.get("init_args", {}), **small_networks(model)}}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    assert main(["fit", "--config", name, "--config", "small.yaml", *SHORT]) == 0
    (run,) = (tmp_path / "runs").glob("*/version_0")
    for file in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        assert (run / file).is_file(), os.listdir(run)
    assert list((run / "samples").glob("*.png"))
    model = lit_gen.load(run / "checkpoints" / "last.ckpt")
    assert torch.isfinite(model.sample(2)).all()
    monitor = _OWN_MEASURES.get(_data(CONFIGS[NAMES.index(name)])["class_path"])
    if monitor:
        rows = list(csv.DictReader((run / "metrics.csv").open()))
        assert [row["step"] for row in rows if row[monitor]] == ["2", "4"]
        return
    scores = [json.loads(path.read_text()) for path in (run / "evaluation").glob("*.json")]
    assert len(scores) == 2
    assert all(score["metrics"]["fid"] > 0 for score in scores)


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_a_configuration_is_named_after_method_and_data_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# ")
    data = _data(path)
    name = data["init_args"]["world"]["class_path"] if data["class_path"] == "Points2D" else data["class_path"]
    assert path.stem.replace("_", "").endswith(name.lower().removeprefix("image"))


def _data(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))["data"]
