"""Runs that are told to stop, or are killed, and go on: they end bit for bit like one that never was."""

import contextlib
import csv
import io
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import yaml
from PIL import Image

from lit_gen.__main__ import main
from lit_gen.callbacks import Preemption

sys.path.insert(0, str(Path(__file__).parent))
from forking import Forks, Process

SIGNALS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
TINY = {"features": 2}
CONFIG: dict[str, Any] = {
    "trainer": {
        "max_steps": 13,
        "val_check_interval": 4,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 3,
        "accelerator": "cpu",
    },
    "model": {
        "class_path": "GAN",
        "init_args": {
            "latent_dim": 4,
            "n_critic": 2,
            "generator": {"class_path": "DCGANGenerator", "init_args": TINY},
            "discriminator": {"class_path": "DCGANDiscriminator", "init_args": TINY},
        },
    },
    # 6 batches an epoch
    "data": {"class_path": "Digits", "init_args": {"image_size": 8, "batch_size": 190, "horizontal_flip": True}},
    "samples": {"every_n_steps": 4, "num_samples": 4},
    "ema": {"half_life": 100},
    "evaluation": {"num_samples": 40, "every_n_validations": 2},
    "checkpoint": {"every_n_train_steps": 3},
}
COMMAND = ("fit", "--config", "tiny.yaml", "--ckpt_path", "last")
RUN = Path("runs/tiny/version_0")
LAST = RUN / "checkpoints/last.ckpt"

# The user's own callbacks, which wait, or use up the disk, at a moment of a test's choice.
OWN = """
import time
from pathlib import Path
from pytorch_lightning import Callback


class Slow(Callback):
    def __init__(self, when: str, step: int = 0):
        self.when, self.step = when, step

    def _wait(self, trainer, when):
        if when == self.when and trainer.global_step == self.step:
            Path("waiting").touch()
            time.sleep(1 if when == "on_validation_start" else 100)

    def setup(self, trainer, pl_module, stage):
        self._wait(trainer, "setup")

    def on_train_batch_start(self, trainer, *_):
        self._wait(trainer, "on_train_batch_start")

    def on_validation_start(self, trainer, *_):
        self._wait(trainer, "on_validation_start")


class FillDisk(Callback):
    def __init__(self, folder: str, step: int):
        self.folder, self.step = folder, step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step != self.step:
            return
        try:
            with open(self.folder + "/filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own that holds ``tiny.yaml``."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path_factory.getbasetemp() / "interruption-cache"))
    monkeypatch.chdir(tmp_path)
    configure()
    return tmp_path


def configure(**trainer: Any) -> None:
    config = {**CONFIG, "trainer": {**CONFIG["trainer"], **trainer}}
    Path("tiny.yaml").write_text(yaml.safe_dump(config))


def call(*arguments: str) -> tuple[int, str, str]:
    """Runs ``lit-gen`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks({"LIT_GEN_CACHE": str(tmp_path_factory.getbasetemp() / "interruption-cache")})
    yield forks
    forks.close()


def wait_for(path: Path, process: Process | subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 100
    while not path.exists():
        assert time.monotonic() < deadline, getattr(process, "said", "")
        time.sleep(0.02)


def wait_for_change(path: Path, process: Process) -> None:
    """Waits until a file is there, or another one in its place, or the process has ended."""
    before, deadline = path.stat().st_ino if path.exists() else None, time.monotonic() + 100
    while process.runs() and (path.stat().st_ino if path.exists() else None) == before:
        assert time.monotonic() < deadline, process.said
        time.sleep(0.01)


def saved(path: Path = LAST) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}/{i}")
    else:
        yield path, value


def end(folder: Path) -> dict[str, Any]:
    """Everything that a run leaves and that does not tell the time."""
    run = folder / RUN
    found = {path: value for path, value in leaves(saved(folder / LAST)) if "speed" not in path.lower()}
    with (run / "metrics.csv").open(newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            found |= {f"row {i} {k}": v for k, v in row.items() if v and not k.startswith("speed/")}
    for path in (run / "samples").iterdir():
        found[path.name] = path.read_bytes()
    for path in (run / "evaluation").iterdir():
        found[path.name] = re.sub(r'"seconds": \{[^}]*\}', "", path.read_text())
    return found


def unlike(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    def same(a: Any, b: Any) -> bool:
        return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b

    return [
        key for key in {**ours, **theirs} if key not in ours or key not in theirs or not same(ours[key], theirs[key])
    ]


Schedule = pytest.mark.parametrize(
    "schedule",
    [
        {},  # a validation every 4 batches, through epochs of 6
        {"max_steps": -1, "max_epochs": 2, "val_check_interval": 1.0, "check_val_every_n_epoch": 1},
    ],
    ids=["validation in steps", "validation in epochs"],
)


@Schedule
def test_a_run_stopped_in_any_batch_ends_like_one_never_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, Any]
) -> None:
    """Among them are batches that a validation, an epoch's end, a checkpoint, or all of them follow."""
    stop_after = 0
    on_train_batch_end = Preemption.on_train_batch_end

    def hook(self: Preemption, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == stop_after:
            os.kill(os.getpid(), SIGNALS[stop_after % 3])
        on_train_batch_end(self, trainer, *arguments)

    monkeypatch.setattr(Preemption, "on_train_batch_end", hook)

    def train(name: str, stop: int = 0) -> Path:
        nonlocal stop_after
        Path(name).mkdir()
        monkeypatch.chdir(folder / name)
        configure(**schedule)
        stop_after = stop
        if stop:
            status, _, err = call(*COMMAND)
            assert status == 75
            assert err.endswith(f"lit-gen: stopped by {SIGNALS[stop % 3].name}; go on from {LAST}\n")
            assert saved()["global_step"] == stop
            stop_after = 0
        status, _, err = call(*COMMAND)
        assert status == 0, err
        monkeypatch.chdir(folder)
        return folder / name

    whole = end(train("whole"))
    steps = whole["/global_step"]
    assert steps == (12 if schedule else 13)
    assert {"step_00000004.json", "row 3 fid[classifier]"} & whole.keys() or schedule
    assert any("/callbacks/EMA/average" in key for key in whole)
    assert any("/optimizer_states/1/state" in key for key in whole)
    found = {step: unlike(end(train(f"stopped{step}", step)), whole) for step in range(1, steps)}
    assert {step: keys for step, keys in found.items() if keys} == {}


def test_one_command_killed_again_and_again_comes_to_the_same_end(folder: Path, forks: Forks) -> None:
    """The same command line from the first start to the last, which does nothing more."""
    chance = random.Random(0)
    ends = []
    for name in ("whole", "killed"):
        Path(folder / name).mkdir()
        os.chdir(folder / name)
        configure(max_steps=120, val_check_interval=30)
        statuses: list[int] = []
        while not statuses or statuses[-1] != 0:
            process = forks.start(*COMMAND, "--checkpoint.every_n_train_steps", 20)
            if name == "killed":
                if len(statuses) % 4 == 1:  # at its start; else after some progress, or this would take for ever
                    time.sleep(chance.uniform(0, 2))
                else:
                    wait_for_change(LAST, process)
                    time.sleep(chance.uniform(0, 0.2))
                with contextlib.suppress(ProcessLookupError):
                    process.send(chance.choice([signal.SIGKILL, signal.SIGKILL, *SIGNALS]))
            statuses.append(process.wait())
            # A signal may come before it is watched for, or when all is done.
            unwatched = not RUN.exists() or "done: " in process.said
            expected = [0, 75, -signal.SIGKILL, *(-number for number in SIGNALS if unwatched)]
            assert statuses[-1] in expected, process.said
        ends.append(end(Path()))
    assert len(statuses) > 3, "so short a run proves nothing"
    assert unlike(*ends) == []
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    before = LAST.stat().st_mtime_ns
    process = forks.start(*COMMAND)
    assert (process.wait(), LAST.stat().st_mtime_ns) == (0, before)
    assert "nothing to do: " in process.said
    assert "(step 120; trainer.max_steps is 120)" in process.said
    assert not list(Path().rglob(".*.tmp"))


def own(callback: str, **arguments: Any) -> str:
    """Returns the argument by which a run gets one of the callbacks above."""
    Path("own.py").write_text(OWN)
    callbacks = [{"class_path": f"own.{callback}", "init_args": arguments}]
    return f"--trainer.callbacks={yaml.safe_dump(callbacks, default_flow_style=True)}"


def test_the_second_ctrl_c_ends_a_run_at_once(forks: Forks) -> None:
    process = forks.start(*COMMAND, own("Slow", when="on_train_batch_start", step=5))
    wait_for(Path("waiting"), process)
    process.send(signal.SIGINT)
    time.sleep(0.5)
    assert "SIGINT: finishing the batch" in process.said
    process.send(signal.SIGINT)
    began = time.monotonic()
    assert process.wait() == 130
    assert time.monotonic() - began < 20
    assert "lit-gen: interrupted" in process.said
    assert saved()["global_step"] == 3, "it goes on from the last regular checkpoint"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_batch_ends_a_run_at_once(forks: Forks, number: int) -> None:
    process = forks.start(*COMMAND, own("Slow", when="setup"))
    wait_for(Path("waiting"), process)
    process.send(number)
    assert process.wait() == 75
    assert process.said.splitlines()[-1] == f"lit-gen: stopped by {signal.Signals(number).name}"
    assert not Path("runs").exists(), "nothing had been done"


def test_a_signal_before_the_first_batch_leaves_what_there_was(forks: Forks) -> None:
    assert forks.start(*COMMAND, "--trainer.max_steps", "5").wait() == 0
    before = {path: path.read_bytes() for path in RUN.rglob("*") if path.is_file()}
    process = forks.start(*COMMAND, own("Slow", when="setup", step=0))
    wait_for(Path("waiting"), process)
    process.send(signal.SIGTERM)
    assert process.wait() == 75
    assert {path: path.read_bytes() for path in before if path.name != "config.yaml"}.items() <= before.items()


def test_a_signal_in_a_validation_lets_it_end_and_stops_after_the_next_batch(forks: Forks) -> None:
    process = forks.start(*COMMAND, own("Slow", when="on_validation_start", step=4))
    wait_for(Path("waiting"), process)
    process.send(signal.SIGUSR1)
    assert process.wait() == 75
    assert saved()["global_step"] == 5
    assert (RUN / "evaluation/step_00000004.json").is_file()
    interrupted = Path("interrupted")
    assert call(*COMMAND)[0] == 0
    shutil.move("runs", interrupted / "runs")
    assert call(*COMMAND)[0] == 0
    assert unlike(end(interrupted), end(Path())) == []


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ranks(forks: Forks, *arguments: object) -> list[Process]:
    """Begins two processes as torchrun does."""
    shared = {
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "GROUP_RANK": 0,
        "GROUP_WORLD_SIZE": 1,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
    }
    return [forks.start(*COMMAND, *arguments, RANK=rank, LOCAL_RANK=rank, **shared) for rank in range(2)]


def test_two_processes_stop_at_the_same_step_when_one_is_told(folder: Path, forks: Forks) -> None:
    ends = []
    for name, told in (("whole", None), ("stopped", 1)):
        (folder / name).mkdir()
        os.chdir(folder / name)
        configure(max_steps=100, val_check_interval=25, log_every_n_steps=1)
        if told is not None:
            both = ranks(forks)
            wait_for(LAST, both[0])
            both[told].send(signal.SIGTERM)
            assert [process.wait() for process in both] == [75, 75], [process.said for process in both]
            step = saved()["global_step"]
            assert 0 < step < 100
            assert step % 10 == 0 or step % 25 == 1, "they agree every 10 steps, and after validations"
            assert f"stopped by SIGTERM; go on from {LAST}" in both[0].said
            assert "stopped by" not in both[1].said
        both = ranks(forks)
        assert [process.wait() for process in both] == [0, 0], [process.said for process in both]
        ends.append(end(Path()))
    assert ends[0]["/global_step"] == 100
    assert unlike(*ends) == []


def test_a_signal_to_the_launcher_stops_all_processes(folder: Path) -> None:
    configure(max_steps=10**6)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = subprocess.Popen(
        [*torchrun, "-m", "lit_gen", *COMMAND],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(LAST, process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 1, "torchrun has no other status for processes that it ended"
    assert f"lit-gen: stopped by SIGTERM; go on from {LAST}" in said
    assert saved()["global_step"] % 10 == 0 or saved()["global_step"] % 4 == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_ctrl_c_also_reaches_the_workers_of_the_data_and_leaves_them_at_work(forks: Forks, number: int) -> None:
    """A terminal sends it to all processes; without its workers the run could not finish its batch."""
    chance = numpy.random.default_rng(0)
    for label in ("a", "b"):
        (Path("images") / label).mkdir(parents=True)
        for i in range(40):
            pixels = chance.integers(0, 256, (9, 11, 3), dtype=numpy.uint8)
            Image.fromarray(pixels).save(Path("images") / label / f"{i}.png")
    init = {"folder": str(Path.cwd() / "images"), "image_size": 8, "batch_size": 4, "num_workers": 2, "cache": "never"}
    data = {"class_path": "ImageFolder", "init_args": init}
    trainer = {**CONFIG["trainer"], "max_steps": 10**6}
    off = {"evaluation": {"metrics": []}}
    Path("tiny.yaml").write_text(yaml.safe_dump({**CONFIG, "data": data, "trainer": trainer, **off}))
    process = forks.start(*COMMAND)
    wait_for(LAST, process)
    process.send(number, group=True)
    assert process.wait() == 75, process.said
    assert process.said.count("finishing the batch") == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    ("what", "step", "every", "arguments"),
    [
        ("/last.ckpt", 5, 3, ["--trainer.logger", "false"]),
        ("/metrics.csv", 5, 5, ["--samples.every_n_steps", 0, "--trainer.val_check_interval", 8]),
        ("/samples/step_00000008.png", 5, 5, ["--trainer.logger", "false"]),
        ("", 20, 20, ["--trainer.max_steps", 39, "--trainer.log_every_n_steps", 1, "--samples.every_n_steps", 0]),
    ],
    ids=["checkpoint", "metrics", "samples", "TensorBoard"],
)
def test_a_full_disk_ends_a_run_in_one_line(
    forks: Forks, small_disk: Path, what: str, step: int, every: int, arguments: Sequence[object]
) -> None:
    process = forks.start(
        *COMMAND,
        *("--runs", small_disk / "runs", "--evaluation.metrics", "[]", "--checkpoint.every_n_train_steps", every),
        *arguments,
        own("FillDisk", folder=str(small_disk), step=step),
    )
    status, said = process.wait(), process.said
    assert status == 2, said
    assert "Traceback" not in said
    complaints = [line for line in said.splitlines() if line.startswith("lit-gen: ") and "starting afresh" not in line]
    assert len(complaints) == 1, said
    assert what in complaints[0] and "No space left on device" in complaints[0], said
    older = small_disk / LAST
    assert saved(older)["global_step"] == step // every * every
    assert not list(older.parent.glob(".*.tmp"))
