"""A new method is one file of at most 60 lines and one YAML; all else, from grids to scores and resume, is there."""

import json
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent / "own_method"


@pytest.fixture
def began(lit_gen, monkeypatch):
    for name in ("began.py", "began_digits.yaml"):
        shutil.copy(HERE / name, name)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    yield lit_gen
    sys.modules.pop("began", None)


def test_a_method_of_ones_own(began):
    assert len(Path("began.py").read_text().splitlines()) <= 60
    fit = ("fit", "--config", "began_digits.yaml", "--trainer.accelerator", "cpu", "--ckpt_path", "last")
    assert began(*fit).status == 0
    run = Path("runs/began_digits/version_0")
    assert "from step 4" in began(*fit, "--trainer.max_steps", 6).out
    assert [path.name for path in sorted((run / "samples").iterdir())] == [f"step_0000000{i}.png" for i in (0, 4, 6)]
    for step in (2, 4, 6):
        assert json.loads((run / f"evaluation/step_0000000{step}.json").read_text())["metrics"]["fid"] > 0
    columns = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"loss/discriminator", "loss/generator", "convergence", "fid[classifier]"} <= set(columns)
    trusting = ("--ckpt_path", "best", "--trust", "began")
    assert began("sample", *trusting, "--output", "grid.png").status == 0
    assert began("evaluate", *trusting, "--num_samples", 20, "--kid_subset_size", 10, "--output", "x.json").status == 0
