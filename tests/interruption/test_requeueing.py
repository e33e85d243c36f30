"""One command line, given again and again until there is nothing to do."""

import contextlib
import random
import signal
import time
from pathlib import Path

import pytest
from forking import Forks, Process
from tiny_run import COMMAND, LAST, RUN, SIGNALS, configure, end, saved, unlike


def test_one_command_killed_again_and_again_comes_to_the_same_end(
    folder: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command line from the first start to the last, which does nothing more."""
    chance = random.Random(0)
    ends = []
    for name in ("whole", "killed"):
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        configure(trainer={"max_steps": 80, "val_check_interval": 10}, checkpoint={"every_n_train_steps": 10})
        statuses: list[int] = []
        while not statuses or statuses[-1] != 0:
            process = forks.start(*COMMAND)
            if name == "killed":
                if len(statuses) % 4 == 1:  # at its start; else after some progress, or this would take for ever
                    time.sleep(chance.uniform(0, 1))
                else:
                    wait_for_change(LAST, process)
                    time.sleep(chance.uniform(0, 0.05))
                with contextlib.suppress(ProcessLookupError):
                    process.send(chance.choice([signal.SIGKILL, signal.SIGKILL, *SIGNALS]))
            statuses.append(process.wait())
            # A signal may come before it is watched for, or when all is done; what was said then may be lost.
            nothing_said = process.said.strip() in ("", "lit-gen: interrupted")
            unwatched = nothing_said or (LAST.exists() and saved()["global_step"] == 80)
            expected = [0, 75, -signal.SIGKILL, *([130, *(-number for number in SIGNALS)] if unwatched else [])]
            assert statuses[-1] in expected, process.said
        ends.append(end(Path()))
    assert len(statuses) > 3, "so short a run proves nothing"
    assert unlike(*ends) == []
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    before = LAST.stat().st_mtime_ns
    process = forks.start(*COMMAND)
    assert (process.wait(), LAST.stat().st_mtime_ns) == (0, before)
    assert "nothing to do: " in process.said
    assert "(step 80; trainer.max_steps is 80)" in process.said
    assert not list(Path().rglob(".*.tmp"))


def wait_for_change(path: Path, process: Process) -> None:
    """Waits until a file is there, or another one in its place, or the process has ended."""
    before, deadline = path.stat().st_ino if path.exists() else None, time.monotonic() + 200
    while process.runs() and (path.stat().st_ino if path.exists() else None) == before:
        assert time.monotonic() < deadline, process.said
        time.sleep(0.01)
