"""The commands of docs/evaluation.md are run, in the order in which they stand there."""

import csv
import shlex
from pathlib import Path

import pytest

from lit_gen.__main__ import main

PAGE = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text("utf-8")
COMMANDS = [shlex.split(line)[1:] for line in PAGE.splitlines() if line.startswith("    lit-gen ")]
TINY = {
    "fit": (
        *("--trainer.max_steps", "6", "--trainer.val_check_interval", "3", "--evaluation.num_samples", "20"),
        *("--samples.num_samples", "4", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
        *("--model.generator.features", "4", "--model.discriminator.features", "4"),
    ),
    "sample": ("--device", "cpu"),
    "evaluate": ("--device", "cpu"),
    "compare": (),
}


def test_the_commands_run_and_say_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert [command[0] for command in COMMANDS] == [*["fit"] * 2, "evaluate", *["sample"] * 2, *["evaluate"] * 2] + [
        "compare"
    ] * 4
    for command in COMMANDS:
        assert main(["20" if word == "1000" else word for word in [*command, *TINY[command[0]]]]) == 0, command
    out = capsys.readouterr().out
    assert "dcgan_digits (2 seeds)" in out
    # By `report.md` the same images, three times: as a folder, as an array, and as the model draws them.
    (last,) = [part for part in out.split("Protocol 1, ranked by ") if "report.md" in part]
    assert {name: last.split().count(name) for name in ("eval", "npz", "folder")} == {"eval": 1, "npz": 1, "folder": 1}
    assert "unlike" not in last
    with open("scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["step"] for row in rows} == {"3", "6"} and len(rows) == 4
    assert all(len(row["protocol"]) == 64 for row in rows)
    assert Path("report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
