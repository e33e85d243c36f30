"""Speed: a slow loader is told from a slow step, and validation from training."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from lit_gen.callbacks import Throughput
from lit_gen.datamodules import Digits

PAUSE = 0.05


class Slow(Digits):
    """A loader that takes its time."""

    def train_dataloader(self) -> Any:
        loader = super().train_dataloader()
        fetch = loader._fetch

        def slow(*arguments: Any) -> Iterator[Any]:
            for batch in fetch(*arguments):
                time.sleep(PAUSE)
                yield batch

        loader._fetch = slow  # type: ignore[method-assign]
        return loader


class Busy(Callback):
    """A step, or a validation, that takes its time."""

    def __init__(self, step: float = 0.0, validation: float = 0.0) -> None:
        self.step, self.validation = step, validation

    def on_train_batch_start(self, *_: Any) -> None:
        time.sleep(self.step)

    def on_validation_batch_start(self, *_: Any) -> None:
        time.sleep(self.validation)


def speed(run: Trainer, model: LightningModule, data: Any) -> tuple[float, float]:
    run.fit(model, datamodule=data)
    return tuple(float(run.callback_metrics[f"speed/{name}"]) for name in ("images_per_second", "data_wait"))  # type: ignore[return-value]


@pytest.mark.parametrize("slow", ["loader", "step"])
def test_tells_what_is_slow(slow: str, gan: Callable[..., Any], trainer: Callable[..., Trainer]) -> None:
    data = (Slow if slow == "loader" else Digits)(batch_size=16, image_size=8)
    run = trainer(callbacks=[Throughput(), Busy(PAUSE if slow == "step" else 0.0)], max_steps=8, log_every_n_steps=4)
    images_per_second, data_wait = speed(run, gan(), data)
    assert 0.2 * 16 / PAUSE < images_per_second < 16 / PAUSE
    assert data_wait > 0.5 if slow == "loader" else data_wait < 0.2
    assert "_on_before_fetch" not in vars(run.fit_loop.epoch_loop)


def test_validation_does_not_count(gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]) -> None:
    callbacks = [Throughput(), Busy(step=PAUSE, validation=1.0)]
    run = trainer(callbacks=callbacks, max_steps=8, log_every_n_steps=4, val_check_interval=6)
    images_per_second, _ = speed(run, gan(), digits())
    assert images_per_second > 4 * 16 / (4 * PAUSE + 0.9)
