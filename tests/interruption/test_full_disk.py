"""A full disk ends a run in one line, whichever file met it."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from forking import Forks
from tiny_run import COMMAND, LAST, configure, own, saved


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
    configure(
        trainer={"val_check_interval": 4, "max_steps": 13},
        evaluation={"metrics": []},
        checkpoint={"every_n_train_steps": every},
    )
    fill = own("FillDisk", "on_train_batch_start", step, folder=str(small_disk))
    process = forks.start(*COMMAND, "--runs", small_disk / "runs", *arguments, fill)
    status, said = process.wait(), process.said
    assert status == 2, said
    assert "Traceback" not in said
    complaints = [line for line in said.splitlines() if line.startswith("lit-gen: ") and "starting afresh" not in line]
    assert len(complaints) == 1, said
    assert what in complaints[0] and "No space left on device" in complaints[0], said
    older = small_disk / LAST
    assert saved(older)["global_step"] == step // every * every
    assert not list(older.parent.glob(".*.tmp"))
