"""Signals to one process, at every stage of a run."""

import shutil
import signal
from pathlib import Path

import numpy
import pytest
import yaml
from forking import Forks
from PIL import Image
from tiny_run import COMMAND, LAST, RUN, SIGNALS, configure, end, own, saved, unlike

FINISHING = "finishing the batch, then writing a checkpoint"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_batch_ends_a_run_at_once(forks: Forks, number: int) -> None:
    process = forks.start(*COMMAND, own("Pause", "setup"))
    process.wait_for(Path("waiting0"))
    process.send(number)
    assert process.wait() == 75
    assert process.said.splitlines()[-1] == f"lit-gen: stopped by {signal.Signals(number).name}"
    assert not Path("runs").exists(), "nothing had been done"


def test_a_signal_before_the_first_batch_leaves_what_there_was(forks: Forks) -> None:
    assert forks.start(*COMMAND, "--trainer.max_steps", "5").wait() == 0
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    process = forks.start(*COMMAND, own("Pause", "setup"))
    process.wait_for(Path("waiting0"))
    process.send(signal.SIGTERM)
    assert process.wait() == 75
    assert {path: path.read_bytes() for path in before if path.name != "config.yaml"}.items() <= before.items()


def test_a_signal_in_the_very_first_batch_lets_it_end(forks: Forks) -> None:
    process = forks.start(*COMMAND, own("Pause", "on_train_batch_start"))
    process.wait_for(Path("waiting0"))
    process.send(signal.SIGTERM)
    process.wait_until_said(FINISHING)
    Path("go").touch()
    assert process.wait() == 75
    assert saved()["global_step"] == 1


def test_a_signal_in_a_validation_lets_it_end_and_stops_after_the_next_batch(forks: Forks) -> None:
    process = forks.start(*COMMAND, own("Pause", "on_validation_start", 4))
    process.wait_for(Path("waiting0"))
    process.send(signal.SIGUSR1)
    process.wait_until_said(FINISHING)
    Path("go").touch()
    assert process.wait() == 75
    assert saved()["global_step"] == 5
    assert (RUN / "evaluation/step_00000004.json").is_file()
    assert forks.start(*COMMAND).wait() == 0
    shutil.move("runs", "interrupted/runs")
    assert forks.start(*COMMAND).wait() == 0
    assert unlike(end(Path("interrupted")), end(Path())) == []


def test_the_second_ctrl_c_ends_a_run_at_once(forks: Forks) -> None:
    process = forks.start(*COMMAND, own("Pause", "on_train_batch_start", 5))
    process.wait_for(Path("waiting0"))
    process.send(signal.SIGINT)
    process.wait_until_said(FINISHING)
    process.send(signal.SIGINT)
    assert process.wait() == 130, "it did not wait for what the batch waits for"
    assert "lit-gen: interrupted" in process.said
    assert saved()["global_step"] == 4, "it goes on from the last regular checkpoint"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_ctrl_c_also_reaches_the_workers_of_the_data_and_leaves_them_at_work(forks: Forks, number: int) -> None:
    """A terminal sends it to all processes; without its workers the run could not finish its batch."""
    chance = numpy.random.default_rng(0)
    for label in ("a", "b"):
        (Path("images") / label).mkdir(parents=True)
        for i in range(40):
            pixels = chance.integers(0, 256, (9, 11, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(Path("images") / label / f"{i}.png")
    configure(trainer={"max_steps": 10**6}, evaluation={"metrics": []})
    init = {"folder": str(Path.cwd() / "images"), "image_size": 8, "batch_size": 4, "num_workers": 2, "cache": "never"}
    config = yaml.safe_load(Path("tiny.yaml").read_text())
    Path("tiny.yaml").write_text(yaml.safe_dump({**config, "data": {"class_path": "ImageFolder", "init_args": init}}))
    process = forks.start(*COMMAND)
    process.wait_for(LAST)
    process.send(number, group=True)
    assert process.wait() == 75, process.said
    assert process.said.count("finishing the batch") == 1
