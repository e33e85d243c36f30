import math
from types import SimpleNamespace

import pytest
import torch

from lit_gen.callbacks.run_checkpoints import RunCheckpoints
from lit_gen.commands.metrics_file import MetricsFile


class Trainer(SimpleNamespace):
    """As much of a trainer as checkpoints need."""

    def __init__(self, callback: RunCheckpoints) -> None:
        strategy = SimpleNamespace(broadcast=lambda value: value)
        super().__init__(
            strategy=strategy, callback_metrics={}, global_step=0, fast_dev_run=False, sanity_checking=False
        )
        self.max_steps = self.max_epochs = -1
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(restarted_on_train_batch_end=False))
        self.state, self.callback = SimpleNamespace(fn="fit"), callback

    def save_checkpoint(self, path, weights_only):
        assert not weights_only
        path.parent.mkdir(exist_ok=True)
        states = {self.callback.state_key: self.callback.state_dict()}
        whole = {"state_dict": {}, "global_step": self.global_step, "pytorch-lightning_version": "2.6.6"}
        torch.save({**whole, "callbacks": states}, path)

    def batch(self):
        self.global_step += 1
        self.callback.on_train_batch_end(self, None)

    def validate(self, score):
        self.callback_metrics["fid"] = torch.tensor(score)
        self.callback.on_validation_end(self, None)


def begin(folder, step=0):
    callback = RunCheckpoints(every_n_train_steps=2, monitor="fid")
    callback.folder = folder / "checkpoints"
    trainer = Trainer(callback)
    if step:
        trainer.global_step = step
        callback.load_state_dict(saved(folder, "last")["callbacks"][callback.state_key])
    callback.setup(trainer, None, "fit")
    callback.on_train_start(trainer, None)
    return trainer


def saved(folder, name):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_best_is_the_lowest_and_last_the_latest(tmp_path):
    trainer = begin(tmp_path)
    for score in (5.0, 3.0, math.nan, 4.0):
        trainer.batch()
        trainer.batch()
        trainer.validate(score)
    assert saved(tmp_path, "best")["global_step"] == 4
    assert saved(tmp_path, "last")["global_step"] == 8
    trainer.batch()
    trainer.callback.on_train_end(trainer, None)
    assert saved(tmp_path, "last")["global_step"] == 9


def test_a_resumed_run_does_not_replace_the_best_by_something_worse(tmp_path):
    """The last checkpoint of a step is older than the score of that step's validation."""
    trainer = begin(tmp_path)
    trainer.batch()
    trainer.batch()
    trainer.validate(3.0)
    assert math.isinf(saved(tmp_path, "last")["callbacks"]["RunCheckpoints"]["best"])
    trainer = begin(tmp_path, step=2)
    trainer.batch()
    trainer.validate(4.0)
    assert saved(tmp_path, "best")["global_step"] == 2
    trainer.validate(2.0)
    assert saved(tmp_path, "best")["global_step"] == 3


def test_metrics_file_keeps_every_row_and_gains_columns(tmp_path):
    file = MetricsFile(tmp_path)
    file.log_metrics({"a": 1.0}, 1)
    file.log_metrics({"b": 0.1}, 2)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,a,b", "1,1.0,", "2,,0.1"]
    resumed = MetricsFile(tmp_path, resumed_at=1)
    resumed.log_metrics({"b": torch.tensor(0.5)}, 2)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,a,b", "1,1.0,", "2,,0.5"]
    MetricsFile(tmp_path).log_metrics({"c": 2}, 1)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,c", "1,2.0"]


def test_an_interval_must_be_positive():
    with pytest.raises(ValueError, match="at least 1"):
        RunCheckpoints(every_n_train_steps=0)
