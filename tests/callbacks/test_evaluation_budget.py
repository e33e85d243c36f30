"""Evaluations within a share of the training time, by a clock that the test turns."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from lit_gen.callbacks import Evaluation, evaluation_budget
from lit_gen.callbacks.evaluation_budget import EvaluationBudget
from lit_gen.errors import UserError
from lit_gen.metrics import Evaluator


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock by which every evaluation takes two seconds, and nothing else any."""
    made, evaluate = Clock(), Evaluator.evaluate

    def slow(*arguments: Any, **settings: Any) -> Any:
        made.now += 2.0
        return evaluate(*arguments, **settings)

    monkeypatch.setattr(evaluation_budget, "perf_counter", made)
    monkeypatch.setattr(Evaluator, "evaluate", slow)
    return made


class Batches(Callback):
    """Every training batch takes a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *_: Any) -> None:
        self.clock.now += 1.0


def steps(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step_")) for path in (folder / "evaluation").iterdir())


def test_first_last_and_what_the_share_allows(
    tmp_path: Path, gan: Any, digits: Any, trainer: Callable[..., Trainer], pixels: Any, clock: Clock, caplog: Any
) -> None:
    caplog.set_level(logging.INFO, "lit_gen.callbacks.evaluation")
    evaluation = Evaluation(["fid"], pixels(), 50, max_share=0.2)
    best = ModelCheckpoint(tmp_path, "{step}", monitor="fid[pixels]", mode="min", save_top_k=-1)
    run = trainer(
        callbacks=[Batches(clock), evaluation, best],
        val_check_interval=1,
        max_steps=20,
        logger=CSVLogger(tmp_path, "run"),
    )
    run.fit(gan(), datamodule=digits())
    # After step k and one evaluation k + 2 s have gone; two more: 4 ≤ 0.2 (k + 4) holds from k = 16. The 20th is last.
    folder = tmp_path / "run" / "version_0"
    assert steps(folder) == [1, 16, 20]
    entries = [json.loads(path.read_text()) for path in sorted((folder / "evaluation").iterdir())]
    assert {entry["protocol"]["num_samples"] for entry in entries} == {50}  # put off, never cut down
    assert sorted(path.stem for path in tmp_path.glob("*.ckpt")) == ["step=1", "step=16", "step=20"]
    said = [record.getMessage() for record in caplog.records]
    assert sum("put off: one more evaluation of 2.0 s" in line for line in said) == 2
    assert [line.partition("; ")[2] for line in said if line.startswith("Scored")] == [
        "",
        "14 before it were put off.",
        "3 before it were put off.",
    ]
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"speed/evaluation_{it}" for it in ("seconds", "share", "generate", "features", "metrics")} <= set(header)
    assert float(run.callback_metrics["speed/evaluation_seconds"]) == pytest.approx(2.0)
    assert float(run.callback_metrics["speed/evaluation_share"]) == pytest.approx(6.0 / 26.0)


def test_a_run_that_goes_on_keeps_its_account(
    tmp_path: Path, gan: Any, digits: Any, trainer: Callable[..., Trainer], pixels: Any, clock: Clock
) -> None:
    def fit(max_steps: int, path: str | None = None) -> None:
        evaluation = Evaluation(["fid"], pixels(), 50, max_share=0.2)
        best = ModelCheckpoint(tmp_path, "best", monitor="fid[pixels]", mode="min")
        saves = [Save(tmp_path / "at_10.ckpt", 10)] if path is None else []
        run = trainer(callbacks=[*saves, Batches(clock), evaluation, best], val_check_interval=1, max_steps=max_steps)
        run.fit(gan(), datamodule=digits(), ckpt_path=path, weights_only=True)

    class Save(Callback):
        def __init__(self, path: Path, step: int) -> None:
            self.path, self.step = path, step

        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == self.step:
                trainer.save_checkpoint(self.path)

    fit(12)
    assert steps(tmp_path) == [1, 12]
    (tmp_path / "evaluation" / "step_00000012.json").unlink()
    clock.now += 10_000.0  # the time between is none of the run's
    # Its first validations have no score, and the checkpoint that watches it waits.
    fit(20, str(tmp_path / "at_10.ckpt"))
    # Step 10 was saved a second before its end: 4 ≤ 0.2 (k + 3) holds from k = 17.
    assert steps(tmp_path) == [1, 17, 20]


def test_account(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(evaluation_budget, "perf_counter", clock)
    budget = EvaluationBudget(0.1)
    budget.start()
    clock.now += 10.0
    with budget.measured():
        clock.now += 1.0
    assert budget.cost == 1.0 and budget.share == pytest.approx(1.0 / 11.0) and budget.seconds == 11.0
    assert not budget.allows_another()  # 2 of 12 s
    clock.now += 8.0
    assert budget.allows_another()  # 2 of 20
    other = EvaluationBudget(0.1)
    other.load_state_dict(budget.state_dict())
    assert other.seconds == 19.0 and other.allows_another() and other.share == budget.share
    other.load_state_dict({"validations": 3})  # of a run without a bound: nothing is known
    unbounded = EvaluationBudget()
    assert unbounded.allows_another() and unbounded.state_dict() == {}


def test_without_a_bound_every_validation_is_scored_and_the_cost_is_logged(
    tmp_path: Path, gan: Any, digits: Any, trainer: Callable[..., Trainer], pixels: Any
) -> None:
    evaluation = Evaluation(["fid"], pixels(), 50)
    run = trainer(callbacks=[evaluation], val_check_interval=1, max_steps=3)
    run.fit(gan(), datamodule=digits())
    assert steps(tmp_path) == [1, 2, 3]
    cost = {name: float(run.callback_metrics[f"speed/evaluation_{name}"]) for name in ("seconds", "share", "features")}
    assert 0.0 < cost["features"] < cost["seconds"] and 0.0 < cost["share"] < 1.0


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_bad_share(share: float) -> None:
    with pytest.raises(UserError, match=f"max_share is {share}, and must be above 0"):
        Evaluation(max_share=share)
