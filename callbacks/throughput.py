"""How fast a run is, and whether the data hold it up."""

__all__ = ["CountsImages", "Throughput"]

import time
from typing import Any, Protocol, runtime_checkable

from pytorch_lightning import Callback, LightningModule, Trainer

from lit_gen.callbacks.reporting import at_logging_step, report


@runtime_checkable
class CountsImages(Protocol):
    """A model that counts the images it was trained on, over all processes."""

    images_seen: int


class Throughput(Callback):
    """Creates a meter of training speed, logged at every logging step over the steps since the last.

    * ``speed/images_per_second``: images trained on, over all processes, per second of wall clock without validation
      (and the scores computed in it); checkpoints and sample grids count as training.
    * ``speed/data_wait``: the share of that time in which the loop stood waiting for the loader, from 0 to 1.

    It reads the clock and never waits for the device: at logging steps the losses have been read already.
    """

    def __init__(self) -> None:
        self._start = self._fetch_start = self._validation_start = 0.0
        self._waited = self._validated = 0.0
        self._images = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The loop calls these two around every `next` of its loader, for the profiler; no public hook stands there.
        loop = trainer.fit_loop.epoch_loop
        before, after = type(loop)._on_before_fetch, type(loop)._on_after_fetch

        def on_before_fetch() -> None:
            before(loop)
            self._fetch_start = time.perf_counter()

        def on_after_fetch() -> None:
            self._waited += time.perf_counter() - self._fetch_start
            after(loop)

        loop.__dict__.update(_on_before_fetch=on_before_fetch, _on_after_fetch=on_after_fetch)
        self._restart(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not at_logging_step(trainer) or not isinstance(pl_module, CountsImages):
            return
        seconds = time.perf_counter() - self._start - self._validated
        images = pl_module.images_seen - self._images
        report(pl_module, {"speed/images_per_second": images / seconds, "speed/data_wait": self._waited / seconds})
        self._restart(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated += time.perf_counter() - self._validation_start

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._release(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._release(trainer)

    def _restart(self, pl_module: LightningModule) -> None:
        self._start = time.perf_counter()
        self._waited = self._validated = 0.0
        self._images = getattr(pl_module, "images_seen", 0)

    def _release(self, trainer: Trainer) -> None:
        for name in ("_on_before_fetch", "_on_after_fetch"):
            trainer.fit_loop.epoch_loop.__dict__.pop(name, None)
