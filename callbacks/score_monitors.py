"""Checkpoints that are chosen by scores, at validations that have none."""

__all__ = ["ScoreMonitors"]

from pytorch_lightning import Callback, Trainer

from lit_gen.metrics.image_evaluator import IMAGE_METRICS


class ScoreMonitors:
    """Creates the care for checkpoint callbacks that watch a score, such as ``fid[classifier]``.

    Lightning takes a watched score that is missing for an error, and one of an earlier validation for a new one.
    """

    def __init__(self) -> None:
        self._held: dict[Callback, int] = {}

    def switch_off(self, trainer: Trainer, of_images: bool | None = None) -> None:
        """Keeps checkpoints from asking for scores that never come.

        Arguments:
            trainer: The trainer.
            of_images: Which scores never come: those of single images, or those of samples; by default, all.
        """
        for callback, metric in self._watching(trainer):
            if of_images is None or (metric in IMAGE_METRICS) == of_images:
                callback.save_top_k = 0  # type: ignore[attr-defined]

    def hold(self, trainer: Trainer) -> None:
        """Keeps checkpoints from choosing by scores that this validation does not have, until `release`."""
        for callback, _ in self._watching(trainer):
            if callback.save_top_k:  # type: ignore[attr-defined]
                self._held[callback] = callback.save_top_k  # type: ignore[attr-defined]
                callback.save_top_k = 0  # type: ignore[attr-defined]

    def release(self) -> None:
        """Lets checkpoints choose again."""
        for callback, save_top_k in self._held.items():
            callback.save_top_k = save_top_k  # type: ignore[attr-defined]
        self._held.clear()

    def _watching(self, trainer: Trainer) -> list[tuple[Callback, str]]:
        """Returns the callbacks that watch a score, each with the metric's name."""
        found: list[tuple[Callback, str]] = []
        for callback in trainer.checkpoint_callbacks:
            monitor = getattr(callback, "monitor", None)
            if isinstance(monitor, str) and monitor.endswith("]") and hasattr(callback, "save_top_k"):
                metric = monitor.partition("[")[0].removesuffix("_mean").removesuffix("_std")
                found.append((callback, metric))
        return found
