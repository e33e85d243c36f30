"""A run that is stopped after any batch, or dies at any moment of one, ends bit for bit like one that never was."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from forking import Forks
from tiny_run import COMMAND, LAST, SIGNALS, call, configure, end, own, saved, unlike

from lit_gen.callbacks import Preemption

# A validation, checkpoint and samples every 4 steps, through epochs of 6; scores at every other validation. At step 4
# all but an epoch's end coincide, at step 12, the last, that too.
IN_STEPS: dict[str, dict[str, Any]] = {}
# A validation with scores, which a checkpoint precedes, at the end of each of the two epochs.
IN_EPOCHS: dict[str, dict[str, Any]] = {
    "trainer": {"max_steps": -1, "max_epochs": 2, "val_check_interval": 1.0, "check_val_every_n_epoch": 1},
    "checkpoint": {"every_n_train_steps": 3},
    "evaluation": {"every_n_validations": 1},
}


@pytest.mark.parametrize("schedule", [IN_STEPS, IN_EPOCHS], ids=["validation in steps", "validation in epochs"])
def test_a_run_stopped_in_any_batch_ends_like_one_never_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, dict[str, Any]]
) -> None:
    """Among them are batches that a validation, an epoch's end, a checkpoint, or all of them follow."""
    stop = 0
    on_train_batch_end = Preemption.on_train_batch_end

    def hook(self: Preemption, trainer: Any, *arguments: Any) -> None:
        if trainer.global_step == stop:
            os.kill(os.getpid(), SIGNALS[stop % 3])
        on_train_batch_end(self, trainer, *arguments)

    monkeypatch.setattr(Preemption, "on_train_batch_end", hook)

    def train(name: str, stops: Sequence[int] = ()) -> dict[str, Any]:
        nonlocal stop
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        configure(**schedule)
        for stop in stops:
            status, err = call(*COMMAND)
            assert status == 75, err
            assert err.endswith(f"lit-gen: stopped by {SIGNALS[stop % 3].name}; go on from {LAST}\n")
            assert saved()["global_step"] == stop
        stop = 0
        status, err = call(*COMMAND)
        assert status == 0, err
        return end(Path())

    whole = train("whole")
    _assert_complete(whole, scores=[6, 12] if schedule else [4, 12])
    # Each batch once; what goes on does several batches more.
    chains = [[1, 6, 11], [2, 7], [3, 8], [4, 9], [5, 10]]
    found = {str(stops): unlike(train(f"stopped{stops[0]}", stops), whole) for stops in chains}
    assert {stops: keys for stops, keys in found.items() if keys} == {}


def _assert_complete(whole: dict[str, Any], scores: list[int]) -> None:
    """Asserts that there is all that is to be compared."""
    assert whole["/global_step"] == 12
    assert [name for name in sorted(whole) if name.endswith(".json")] == [f"step_{step:08d}.json" for step in scores]
    assert sum(name.startswith("row ") and "fid[" in name for name in whole) == len(scores)
    assert sum(name.endswith(".png") for name in whole) == 4
    assert any("/callbacks/EMA/average" in name for name in whole)
    assert any("/optimizer_states/1/state" in name for name in whole)


def test_a_run_that_dies_where_validation_and_checkpoint_coincide_ends_like_one_that_did_not(
    folder: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In between, and at the last step: no row of metrics.csv and no score is lost or stands there twice."""
    whole = {}
    moments = [
        ("on_validation_start", 4),
        ("on_validation_end", 4),
        ("on_train_batch_start", 4),
        ("on_validation_end", 12),
        ("on_train_end", 12),
    ]
    found = {}
    for when, step in [(None, 0), *moments]:
        (folder / f"{when}{step}").mkdir()
        monkeypatch.chdir(folder / f"{when}{step}")
        configure(checkpoint={"every_n_train_steps": 2})
        if when is None:
            assert forks.start(*COMMAND).wait() == 0
            whole = end(Path())
            continue
        assert forks.start(*COMMAND, own("Die", when, step)).wait() == -signal.SIGKILL
        assert saved()["global_step"] in (step - 2, step), when
        again = forks.start(*COMMAND)
        assert again.wait() == 0, again.said
        found[when, step] = unlike(end(Path()), whole)
    assert {moment: keys for moment, keys in found.items() if keys} == {}
