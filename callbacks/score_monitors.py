"""Checkpoints that are chosen by scores, at validations that have none."""

__all__ = ["ScoreMonitors"]

from collections.abc import Collection

from pytorch_lightning import Callback, Trainer


class ScoreMonitors:
    """Creates the care for checkpoint callbacks that watch a score, such as ``fid[classifier]``.

    Lightning takes a watched score that is missing for an error, and one of an earlier validation for a new one.
    """

    def __init__(self) -> None:
        self._held: dict[Callback, int] = {}

    def switch_off(self, trainer: Trainer, only: Collection[str] | None = None, others: Collection[str] = ()) -> None:
        """Keeps checkpoints from asking for scores that never come; by default, for any.

        Arguments:
            trainer: The trainer.
            only: What the scores that never come are of, such as ``likelihood``, in the brackets of their names.
            others: What those are of that may yet come.
        """
        for callback, of in self._watching(trainer):
            if (only is None or of in only) and of not in others:
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
        """Returns the callbacks that watch a score, each with what stands in brackets in the score's name."""
        found: list[tuple[Callback, str]] = []
        for callback in trainer.checkpoint_callbacks:
            monitor = getattr(callback, "monitor", None)
            if isinstance(monitor, str) and monitor.endswith("]") and hasattr(callback, "save_top_k"):
                found.append((callback, monitor.rpartition("[")[2].removesuffix("]")))
        return found
