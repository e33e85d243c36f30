"""A process that dies takes the others with it, at once and by name; one that is told to stop stops all."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """
trainer: {max_steps: 10000000, accelerator: cpu, limit_val_batches: 0, callbacks: [{class_path: slow.Slow}]}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DCGANGenerator, init_args: {features: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {features: 4}}
    latent_dim: 8
data: {class_path: Digits, init_args: {image_size: null, batch_size: 16}}
samples: {every_n_steps: 0, first: false}
evaluation: {metrics: []}
checkpoint: {every_n_train_steps: 1}
"""
# Runs that are waiting for their turn must leave the processor to those that are still starting.
SLOW = """
import time
from pathlib import Path
from pytorch_lightning import Callback

class Slow(Callback):
    def on_train_batch_end(self, *_):
        time.sleep(0.2)

    def on_validation_start(self, trainer, _):
        Path(f"validating{trainer.global_rank}").touch()
        time.sleep(300 if trainer.global_rank else 0)
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
LIGHTNING = ("--trainer.devices", "2")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """Runs of two processes, all at once, since most of their time goes into imports."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.yaml").write_text(CONFIG)
    (folder / "slow.py").write_text(SLOW)
    processes = {}
    for name in ("torchrun", "child", "launcher", "stopped", "validation"):
        command = ["-m", "lit_gen", "fit", "--config", "tiny.yaml", "--runs", name]
        if name == "validation":
            command = [*command[:2], "validate", *command[3:], "--trainer.limit_val_batches", "1.0"]
        command = [*TORCHRUN, *command] if name == "torchrun" else [*command, *LIGHTNING]
        with (folder / f"{name}.log").open("w") as log:
            processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "LIT_GEN_CACHE": str(folder / "cache")},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
    try:
        deadline = time.monotonic() + 200
        for name, process in processes.items():
            run = folder / name / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
            while not (folder / "validating1" if name == "validation" else run).exists():
                assert process.poll() is None, said(folder, name)
                assert time.monotonic() < deadline, said(folder, name)
                time.sleep(0.1)
        yield {**processes, "folder": folder}
    finally:
        for process in processes.values():
            for pid in [*(children(process.pid) if process.poll() is None else []), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def said(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text()


def children(pid: int) -> list[int]:
    """A process's children in the order in which they were started, that is of their ranks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(child) for task in tasks for child in (task / "children").read_text().split())


def running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def all_end(pids: list[int], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while any(running(pid) for pid in pids):
        assert time.monotonic() < deadline, "the others go on, or wait"
        time.sleep(0.1)


def test_a_killed_process_ends_a_torchrun(started):
    process = started["torchrun"]
    first, second = children(process.pid)
    os.kill(second, signal.SIGKILL)
    assert process.wait(60) == 1
    all_end([first])
    root_cause = said(started["folder"], "torchrun").rpartition("Root Cause")[2]
    assert "rank      : 1" in root_cause
    assert "SIGKILL" in root_cause


def test_a_killed_process_ends_a_run_of_trainer_devices(started):
    process = started["child"]
    (child,) = children(process.pid)
    os.kill(child, signal.SIGKILL)
    assert process.wait(60) == 1
    text = said(started["folder"], "child")
    assert f"lit-gen: rank 1 (process {child}) was killed by SIGKILL" in text
    assert "Traceback" not in text


def test_a_killed_launcher_ends_what_it_launched(started):
    process = started["launcher"]
    (child,) = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    all_end([child])
    text = said(started["folder"], "launcher")
    assert f"lit-gen: rank 0 (process {process.pid}) was killed; ending rank 1" in text
    assert "Traceback" not in text


def test_a_killed_process_ends_a_validation(started):
    """While the first process waits for it, at the latest to bring their scores together."""
    process = started["validation"]
    (child,) = children(process.pid)
    os.kill(child, signal.SIGKILL)
    assert process.wait(60) == 1
    text = said(started["folder"], "validation")
    assert f"lit-gen: rank 1 (process {child}) was killed by SIGKILL" in text
    assert "Traceback" not in text


def test_a_child_that_stops_on_purpose_is_no_death(started):
    """Lightning's own observer would kill the first process, whose exit status would be lost."""
    process = started["stopped"]
    (child,) = children(process.pid)
    os.kill(child, signal.SIGUSR1)
    assert process.wait(60) == 75
    all_end([child])
    assert "ending" not in said(started["folder"], "stopped")
