"""The rest of an interrupted epoch, when the run goes on with other batches than it had."""

__all__ = ["InterruptedEpoch"]

from pytorch_lightning import Callback, LightningModule, Trainer

from lit_gen.datamodules.loader import ResumableLoader


class InterruptedEpoch(Callback):
    """Creates the callback that tells Lightning how many batches of a resumed epoch are over.

    A checkpoint holds Lightning's count of them, and the loader's position in images. With another number of processes
    or another batch size they disagree: Lightning would leave the epoch early, so that the images that remain are not
    seen, or miss its end and the validation there. The loader is right.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loader, fit_loop = trainer.train_dataloader, trainer.fit_loop
        if not fit_loop.is_resuming or not isinstance(loader, ResumableLoader):
            return
        batches, epochs = fit_loop.epoch_loop.batch_progress, fit_loop.epoch_progress
        total, consumed = int(trainer.num_training_batches), loader.state_dict()["consumed"]
        over = total - min(total, len(loader.order.starts(consumed, loader.limit))) if consumed else 0
        counted = 0 if batches.is_last_batch and batches.current.ready == total else batches.current.ready
        if over == counted:
            return
        if over == 0 and epochs.total.processed < epochs.total.started:  # type: ignore[attr-defined]
            # Too few images for a batch remained: the loader has begun the next epoch, and Lightning has not.
            epochs.increment_processed()
            epochs.increment_completed()
        shift = over - batches.current.ready
        for event in ("ready", "started", "processed", "completed"):
            setattr(batches.current, event, getattr(batches.current, event) + shift)
        batches.is_last_batch = False
