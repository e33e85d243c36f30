"""The README's commands and examples are run, in the order in which they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lit_gen.__main__ import main

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
COMMANDS = [line.split(" # ")[0].strip() for line in README.splitlines() if line.startswith("    lit-gen ")]
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHORT = {
    "fit": (
        *("--trainer.max_steps", "6", "--trainer.val_check_interval", "3"),
        *("--evaluation.num_samples", "20", "--samples.num_samples", "4", "--trainer.log_every_n_steps", "2"),
        *("--data.batch_size", "8", "--trainer.accelerator", "cpu"),
    ),
    "evaluate": ("--num_samples", "20", "--kid_subset_size", "10", "--device", "cpu"),
    "sample": ("--device", "cpu"),
    "test": ("--evaluation.num_samples", "20", "--trainer.accelerator", "cpu"),
}


def test_the_readme_says_what_this_tests() -> None:
    assert {shlex.split(command)[1] for command in COMMANDS} >= {"fit", "sample", "evaluate", "test", "--help"}
    assert len(EXAMPLES) == 2
    assert 10 <= len(EXAMPLES[0].strip().splitlines()) <= 15


def test_commands_and_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(30):
        Image.new("RGB", (70 + i, 64), (8 * i, 255 - 8 * i, 99)).save(pictures / f"{i}.jpg")
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        command = [str(tmp_path / word[2:]) if word.startswith("~/") else word for word in shlex.split(line)[1:]]
        more = 8 if "last" in command else 6  # the run to go on with is over by then
        short = [str(more) if word == "6" else word for word in SHORT.get(command[0], ())]
        if "--trainer.devices" in command:  # starts itself anew, which this process is not
            start = [sys.executable, "-m", "lit_gen", *command, *short]
            assert subprocess.run(start, timeout=200).returncode == 0, line
        else:
            assert main([*command, *short]) == 0, line
    runs = {path.parent.name for path in tmp_path.glob("runs/*/version_*")}
    assert runs == {"dcgan_digits", "gan_digits", "dcgan_folder"}
    for name in ("grid.png", "eval.json"):
        assert (tmp_path / name).is_file()
    (tmp_path / "grid.png").unlink()
    exec(EXAMPLES[0], {})
    assert Image.open(tmp_path / "grid.png").mode == "L"


def test_the_own_loss_of_the_readme_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_module.py").write_text(EXAMPLES[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    own = ("--model.loss", "my_module.TotalVariation")
    assert main(["fit", "--config", "gan/dcgan_digits", *own, *SHORT["fit"]]) == 0
    last = "runs/dcgan_digits/version_0/checkpoints/last.ckpt"
    assert main(["sample", "--ckpt_path", last, "--trust", "my_module", "--output", "grid.png"]) == 0
