"""Runs as training leaves them, without training."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lit_gen.metrics.cache import content_hash

PROTOCOL = {
    "data": "digits",
    "data_fingerprint": "f" * 32,
    "split": "val",
    "num_real": 200,
    "num_samples": 1000,
    "image_shape": [1, 8, 8],
    "extractor": "classifier",
    "extractor_hash": "a" * 64,
    "extractor_accuracy": 0.99,
    "weights": "ema",
    "seed": 0,
    "kid_subsets": 100,
    "kid_subset_size": 1000,
}


@pytest.fixture
def make_run(tmp_path):
    """Writes a run's folder: FIDs by step, the protocol's fields that differ, the configuration's."""

    def make(name, fids, protocol=None, config=None, metrics=None):
        folder = tmp_path / "runs" / name
        (folder / "evaluation").mkdir(parents=True)
        for step, fid in fids.items():
            content = {"step": step, "metrics": {"fid": fid, **(metrics or {})}, "seconds": {}}
            fields = {**PROTOCOL, **(protocol or {})}
            content["protocol"] = {**fields, "hash": content_hash(fields)}
            (folder / "evaluation" / f"step_{step:08d}.json").write_text(json.dumps(content))
        settings = {"seed_everything": 0, "runs": "runs", "model": {"class_path": "lit_gen.models.GAN"}}
        settings["model"]["init_args"] = {"latent_dim": 8}
        (folder / "config.yaml").write_text(yaml.safe_dump({**settings, **(config or {})}))
        (folder / "samples").mkdir()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / "samples" / "step_00000010.png")
        with (folder / "metrics.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["step", "images_seen"], *([step, f"{64.0 * step}"] for step in fids)])
        return Path(folder)

    return make
