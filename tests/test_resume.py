"""A run killed in the middle of an epoch and resumed ends bit for bit like the run that was never stopped."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from PIL import Image

TINY = {"features": 4}
CONFIG: dict[str, Any] = {
    "trainer": {
        "max_steps": 90,
        "log_every_n_steps": 5,
        "val_check_interval": 20,
        "check_val_every_n_epoch": None,
        "accelerator": "cpu",
    },
    "model": {
        "class_path": "GAN",
        "init_args": {
            "latent_dim": 4,
            "n_critic": 2,
            "generator": {"class_path": "DCGANGenerator", "init_args": TINY},
            "discriminator": {"class_path": "DCGANDiscriminator", "init_args": TINY},
            "generator_schedule": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 90}},
        },
    },
    "samples": {"every_n_steps": 30, "num_samples": 4},
    "checkpoint": {"every_n_train_steps": 25},
    "evaluation": {"num_samples": 50, "every_n_validations": 2},
}
DIGITS = {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 64, "horizontal_flip": True}}
FOLDER = {
    "class_path": "ImageFolder",
    "init_args": {
        "folder": "images",
        "image_size": 8,
        "batch_size": 4,
        "num_workers": 2,
        "cache": "never",
        "horizontal_flip": True,
    },
}


def images(folder: Path) -> None:
    random = numpy.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "images" / label).mkdir(parents=True)
        for i in range(60):
            pixels = random.integers(0, 256, (9, 11, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(folder / "images" / label / f"{i}.png")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lit_gen", "fit", "--config", str(folder / "tiny.yaml"), *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LIT_GEN_DATA": str(folder), "LIT_GEN_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]


def rows(run: Path) -> list[dict[str, str]]:
    path = run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if v and not k.startswith("speed/")} for row in csv.DictReader(file)]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}/{i}")
    else:
        yield path, value


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# What a checkpoint holds that is of the place it was written at, not of the training.
ELSEWHERE = ("dirpath", "model_path", "kth_best", "best_k_models", "last_model")


@pytest.mark.parametrize("data", [DIGITS, FOLDER], ids=["in memory", "workers"])
def test_a_killed_run_ends_like_one_never_stopped(tmp_path: Path, data: dict[str, Any]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        images(folder)
        (folder / "tiny.yaml").write_text(yaml.safe_dump({**CONFIG, "data": data}))
    never_stopped, victim = start(whole), start(killed)
    run = killed / "runs" / "tiny" / "version_0"
    deadline = time.monotonic() + 240
    while not any(int(row["step"]) >= 60 for row in rows(run)):
        assert victim.poll() is None, victim.communicate()[0][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] in (50, 75)
    finish(never_stopped)
    finish(start(killed, "--ckpt_path", "last"))

    reference = whole / "runs" / "tiny" / "version_0"
    assert sorted(p.name for p in run.parent.iterdir()) == ["version_0"], "a resumed run goes on in its own folder"
    ends = [torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (reference, run)]
    theirs, ours = (dict(leaves(end)) for end in ends)
    assert ours.keys() == theirs.keys()
    compared = [path for path in theirs if not any(word in path for word in ELSEWHERE) and "speed" not in path.lower()]
    assert [path for path in compared if not same(ours[path], theirs[path])] == []
    assert theirs["/global_step"] == 90
    assert any(path.startswith("/callbacks/EMA/average") for path in compared)
    assert any(path.startswith("/optimizer_states/1/state") for path in compared)
    assert rows(run) == rows(reference)
    grids = sorted(path.name for path in (reference / "samples").iterdir())
    assert len(grids) == 4
    for name in grids:
        assert (run / "samples" / name).read_bytes() == (reference / "samples" / name).read_bytes(), name
