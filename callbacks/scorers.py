"""The scores of what a model makes of real images, whichever evaluator they are of."""

__all__ = ["ImageScorer", "JudgeScorer", "Scorer"]

from typing import Any, ClassVar, Protocol

import torch

from lit_gen.callbacks.image_scoring import image_misfit, noise_of, prepare_images, score_images
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.image_evaluator import ImageEvaluator
from lit_gen.metrics.image_result import ImageResult
from lit_gen.metrics.judge_evaluator import TASK, JudgeEvaluator
from lit_gen.training.seeding import derive_seed


class Scorer(Protocol):
    """An evaluator, and how a model answers it."""

    tasks: ClassVar[tuple[str, ...]]
    """What its scores' names may end in, in brackets."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that are asked for."""

    def misfit(self, model: Any, data: ImageData) -> str | None:
        """Says why a model or its data have nothing to score; None if they have."""

    def prepare(self, model: Any, data: ImageData, device: torch.device) -> None:
        """Makes ready to score a model, before anything is computed in vain.

        Raises:
            UserError: If model, metrics and data do not fit.
        """

    def score(self, model: Any, device: torch.device, weights: str) -> list[ImageResult]:
        """Scores what a model makes of this process's share of a split.

        Arguments:
            model: The model, within `inference`, on the device; `prepare` has seen it.
            device: Where the model is.
            weights: Which of its weights it has, for the protocol: ``"ema"``, ``"ema:5000"`` or ``"raw"``.

        Raises:
            UserError: If what the model returns cannot be scored.
        """


class ImageScorer:
    """Creates the scorer of single images, `ImageEvaluator`'s.

    Arguments:
        evaluator: The evaluator.
    """

    tasks: ClassVar[tuple[str, ...]] = ("translation", "reconstruction", "likelihood")

    def __init__(self, evaluator: ImageEvaluator) -> None:
        self.evaluator, self.metrics = evaluator, evaluator.metrics

    def misfit(self, model: Any, data: ImageData) -> str | None:
        return image_misfit(self.evaluator, model, data)

    def prepare(self, model: Any, data: ImageData, device: torch.device) -> None:
        prepare_images(self.evaluator, model, data, device)

    def score(self, model: Any, device: torch.device, weights: str) -> list[ImageResult]:
        return score_images(self.evaluator, model, device, weights)


class JudgeScorer:
    """Creates the scorer of what networks recognise, `JudgeEvaluator`'s.

    Arguments:
        evaluator: The evaluator.
    """

    tasks: ClassVar[tuple[str, ...]] = (TASK,)

    def __init__(self, evaluator: JudgeEvaluator) -> None:
        self.evaluator, self.metrics = evaluator, evaluator.metrics

    def misfit(self, model: Any, data: ImageData) -> str | None:
        return self.evaluator.misfit(model, data)

    def prepare(self, model: Any, data: ImageData, device: torch.device) -> None:
        reason = self.misfit(model, data)
        if reason:
            raise UserError(f"{reason}; leave out what it lacks")
        self.evaluator.prepare(model, data, device)

    @torch.no_grad()
    def score(self, model: Any, device: torch.device, weights: str) -> list[ImageResult]:
        seed = self.evaluator.seed
        return self.evaluator.evaluate(
            model, lambda place, purpose: noise_of(derive_seed(seed, purpose), place), weights
        )
