"""Checkpoint files are whole whatever happens while they are written."""

import errno
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_gen.commands.metrics_file import MetricsFile
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.training.checkpoint_io import AtomicCheckpointIO

KILLS = 20


def checkpoint(version: int) -> dict[str, Any]:
    """Returns one of 8 MiB that says in every number which it is."""
    return {"version": version, "state_dict": {str(i): torch.full((1 << 18,), float(version)) for i in range(8)}}


def version(path: Path) -> int:
    """Returns which checkpoint a file is, all of it."""
    found = torch.load(path, weights_only=True)
    assert all(bool((tensor == found["version"]).all()) for tensor in found["state_dict"].values())
    return int(found["version"])


def write_for_ever(path: Path, first: int) -> None:
    for number in range(first, 10**6):
        AtomicCheckpointIO().save_checkpoint(checkpoint(number), path)


def in_a_process(function: Any, *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def test_a_process_killed_while_it_writes_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path, chance = tmp_path / "last.ckpt", random.Random(0)
    AtomicCheckpointIO().save_checkpoint(checkpoint(0), path)
    versions, torn = [0], 0
    for _ in range(KILLS):
        process = in_a_process(write_for_ever, path, versions[-1] + 1)
        time.sleep(chance.uniform(0.02, 0.15))
        process.kill()
        process.join()
        versions.append(version(path))
        left = list(tmp_path.glob(".*.tmp"))
        assert len(left) <= 1, "what earlier processes left is removed by later ones"
        torn += bool(left)
    assert versions == sorted(versions)
    assert versions[-1] > 0
    assert torn > KILLS // 4, "too few kills met a checkpoint being written to prove anything"
    AtomicCheckpointIO().save_checkpoint(checkpoint(10**6), path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_only_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    host = socket.gethostname().replace(".", "-")
    dead = in_a_process(os.getpid)
    dead.join()
    old, names = time.time() - 7200, {}
    for name, stale in [
        (f".a.ckpt.{host}.{dead.pid}.tmp", True),
        (f".a.ckpt.{host}.{os.getppid()}.tmp", False),
        (f".a.ckpt.elsewhere.{dead.pid}.tmp", False),
        (f".b.ckpt.elsewhere.{dead.pid}.tmp", True),
        (".hidden.tmp", False),
        (f"a.ckpt.{host}.{dead.pid}.tmp", False),
    ]:
        (tmp_path / name).touch()
        names[name] = stale
    os.utime(tmp_path / f".b.ckpt.elsewhere.{dead.pid}.tmp", (old, old))
    with replacing(tmp_path / "c") as temporary:
        temporary.touch()
    assert {name: not (tmp_path / name).exists() for name in names} == names


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_older_checkpoints(small_disk: Path) -> None:
    io = AtomicCheckpointIO()
    io.save_checkpoint(checkpoint(1), small_disk / "best.ckpt")
    io.save_checkpoint(checkpoint(1), small_disk / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt' cannot be written: No space left .*the one before it is untouch"):
        io.save_checkpoint(checkpoint(2), small_disk / "last.ckpt")
    assert sorted(path.name for path in small_disk.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert version(small_disk / "best.ckpt") == version(small_disk / "last.ckpt") == 1


def write_with_a_limit(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        AtomicCheckpointIO().save_checkpoint(checkpoint(2), path)
    except UserError as error:
        os._exit(0 if "File too large; the one before it is untouched" in str(error) else 1)
    os._exit(2)


def test_a_file_that_may_not_grow_leaves_older_checkpoints(tmp_path: Path) -> None:
    """As under a quota; this needs no file system of its own."""
    AtomicCheckpointIO().save_checkpoint(checkpoint(1), tmp_path / "last.ckpt")
    process = in_a_process(write_with_a_limit, tmp_path / "last.ckpt")
    process.join()
    assert process.exitcode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert version(tmp_path / "last.ckpt") == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_late_leaves_older_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """File systems over a network may tell of a full disk only when a file is flushed."""
    AtomicCheckpointIO().save_checkpoint(checkpoint(1), tmp_path / "last.ckpt")

    def fail(*_: Any) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(UserError, match=os.strerror(errno.EDQUOT)):
            AtomicCheckpointIO().save_checkpoint(checkpoint(2), tmp_path / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert version(tmp_path / "last.ckpt") == 1


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a power failure could leave the new name with nothing in it."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("flush"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("rename"), replace(*paths)))
    AtomicCheckpointIO().save_checkpoint(checkpoint(1), tmp_path / "last.ckpt")
    assert calls == ["flush", "rename", "flush"]


def test_an_error_that_is_no_disk_s_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="local object"):
        AtomicCheckpointIO().save_checkpoint({"what cannot be pickled": lambda: 0}, tmp_path / "last.ckpt")
    assert not list(tmp_path.iterdir())


def test_rows_of_a_validation_that_is_repeated_are_replaced(tmp_path: Path) -> None:
    """A run goes on from a checkpoint that was written before the validation of its step."""
    file = MetricsFile(tmp_path)
    file.log_metrics({"loss": 1.0}, 2)
    file.log_metrics({"fid": 5.0}, 2)
    file.log_metrics({"loss": 0.5}, 3)
    resumed = MetricsFile(tmp_path, resumed_at=2)
    resumed.log_metrics({"fid": 4.0}, 2)
    resumed.log_metrics({"kid": 1.0}, 2)
    resumed.log_metrics({"loss": 0.25}, 3)
    assert (tmp_path / "metrics.csv").read_text().split() == [
        "step,loss,fid,kid",
        "2,1.0,,",
        "2,,4.0,",
        "2,,,1.0",
        "3,0.25,,",
    ]


def test_the_signal_that_no_process_survives() -> None:
    """What the kills above mean by a kill."""
    process = in_a_process(time.sleep, 100)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
