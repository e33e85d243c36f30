"""Signals to several processes that train together."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forking import Forks, Process
from tiny_run import COMMAND, LAST, configure, end, own, saved, unlike


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


# When one process is told, and after which step both stop: they agree every 10 steps, after a run's first step and
# after validations, of which there is one every 8 steps.
TOLD = [("setup", 0, 1), ("on_validation_start", 8, 9), ("on_train_batch_start", 18, 20)]


def test_two_processes_stop_at_the_same_step_when_one_is_told(
    folder: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for name, moments in (("whole", []), ("stopped", TOLD)):
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        configure(trainer={"max_steps": 24, "val_check_interval": 8, "log_every_n_steps": 7})
        for when, step, stop in moments:
            both = ranks(forks, own("Pause", when, step))
            both[1].wait_for(Path("waiting1"))
            both[1].send(signal.SIGTERM)
            both[1].wait_until_said("finishing the batch")
            Path("go").touch()
            assert [process.wait() for process in both] == [75, 75], [process.said for process in both]
            assert saved()["global_step"] == stop
            assert f"stopped by SIGTERM; go on from {LAST}" in both[0].said
            assert "stopped by" not in both[1].said
            Path("go").unlink()
            Path("waiting1").unlink()
        both = ranks(forks)
        assert [process.wait() for process in both] == [0, 0], [process.said for process in both]
        ends.append(end(Path()))
    assert ends[0]["/global_step"] == 24
    assert unlike(*ends) == []


def test_a_signal_to_the_launcher_stops_all_processes() -> None:
    configure(trainer={"max_steps": 10**6}, evaluation={"metrics": []})
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    process = subprocess.Popen(
        [*torchrun, "-m", "lit_gen", *COMMAND],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not LAST.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, "torchrun has no other status for processes that it ended"
    assert f"lit-gen: stopped by SIGTERM; go on from {LAST}" in said
    assert saved()["global_step"] % 10 == 0 or saved()["global_step"] % 4 == 1, "as they agreed, or after a validation"
