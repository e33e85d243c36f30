"""Scores during training, from the same evaluator that scores checkpoints."""

__all__ = ["Evaluation"]

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gen.callbacks.ema import find_ema
from lit_gen.callbacks.reporting import report
from lit_gen.callbacks.run_folder import run_folder
from lit_gen.callbacks.sampling import draw, inference
from lit_gen.contracts import ImageData, PointData, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.metrics import EvaluationResult, Evaluator
from lit_gen.metrics.extractors import Classifier, Extractor
from lit_gen.training.seeding import isolated


class Evaluation(Callback):
    """Creates the scoring of samples at the end of validation (on the val split) and of testing (on the test split).

    Samples come from averaged weights, if the trainer has an `EMA`; sample i of a seed is the same image at every
    evaluation but for the weights. Scores go to the loggers, into ``evaluation/`` in the run's folder together with
    their protocol, and to the checkpoints of the same validation: ``ModelCheckpoint(monitor="fid[classifier]")``.
    Extractor and statistics of the real images are made before training starts. Neither the training nor any global
    random number is touched.

    How often validation runs is the trainer's matter (`val_check_interval`, in steps); the first is always scored.

    Arguments:
        metrics: The metrics: ``fid``, ``is``, ``kid``, ``pr``; none turns scoring off, and with it the checkpoints
            that watch its scores.
        extractor: What the metrics see the images through; a `Classifier` of the training data by default.
        num_samples: The number of images drawn.
        every_n_validations: Only every n-th validation is scored.
        batch_size: The images drawn at once.
        seed: The seed of the images.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("fid",),
        extractor: Extractor | None = None,
        num_samples: int = 5_000,
        every_n_validations: int = 1,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        if every_n_validations < 1:
            raise UserError(f"Evaluation's every_n_validations is {every_n_validations}, and must be at least 1")
        self.metrics = tuple(metrics)
        self.extractor = Classifier() if extractor is None else extractor
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.every_n_validations = every_n_validations
        self.last_result: EvaluationResult | None = None
        self._evaluator: Evaluator | None = None
        self._validations = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._evaluator = None
        if stage == "predict" or trainer.fast_dev_run or not self.metrics:  # type: ignore[attr-defined]
            self._switch_off(trainer)
            return
        split = "test" if stage == "test" else "val"
        data = getattr(trainer, "datamodule", None)
        if data is None:
            raise UserError("Evaluation needs a datamodule to compare samples with; give the trainer one")
        if isinstance(data, PointData):  # no pictures; `PointsView` measures them
            self._switch_off(trainer)
            return
        reason = self._misfit(pl_module, data, split)
        if reason:
            rank_zero_warn(f"Evaluation is off, no {', '.join(self.metrics)} will be computed: {reason}")
            self._switch_off(trainer)
            return
        # Now, not when first needed: whatever is missing is said before training, and this is no inference mode, in
        # which a classifier could not be trained.
        self._evaluator = Evaluator(
            self.extractor,
            metrics=self.metrics,
            num_samples=self.num_samples,
            split=split,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        with isolated():
            self._evaluator.prepare(cast(ImageData, data), trainer.strategy.root_device)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or self._evaluator is None:
            return
        if trainer.state.fn != "fit":
            self._evaluate(trainer, pl_module, "val")
            return
        if self._validations % self.every_n_validations == 0:
            self._evaluate(trainer, pl_module, f"step_{trainer.global_step:08d}")
        self._validations += 1

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._evaluator is not None:
            self._evaluate(trainer, pl_module, "test")

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._validations = state_dict["validations"]

    def _misfit(self, pl_module: LightningModule, data: Any, split: str) -> str | None:
        """Says why there is nothing to compare, None if there is."""
        if not isinstance(pl_module, SupportsSample):
            return f"{type(pl_module).__name__} does not sample"
        if not data.num_images(split):
            return f"the data have no {split} images"
        if data.num_classes is None and isinstance(self.extractor, Classifier):
            return (
                "the data have no labels to train a classifier on; take another extractor (--evaluation.extractor "
                "InceptionV3), or none of its metrics (--evaluation.metrics [])"
            )
        return None

    def _switch_off(self, trainer: Trainer) -> None:
        """Keeps checkpoints from asking for scores that never come, which Lightning takes for an error."""
        for callback in trainer.checkpoint_callbacks:
            monitor = getattr(callback, "monitor", None)
            if isinstance(monitor, str) and monitor.endswith("]") and hasattr(callback, "save_top_k"):
                callback.save_top_k = 0

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, name: str) -> None:
        assert self._evaluator is not None and isinstance(pl_module, SupportsSample)
        with inference(trainer, pl_module):
            result = self._evaluator.evaluate(self._samples(pl_module), "raw" if find_ema(trainer) is None else "ema")
        self.last_result = result
        report(pl_module, result.named())
        if trainer.is_global_zero:
            entry = {"step": trainer.global_step, **result.to_dict()}
            with replacing(run_folder(trainer) / "evaluation" / f"{name}.json") as path:
                path.write_text(json.dumps(entry, indent=2) + "\n", "utf-8")

    def _samples(self, model: SupportsSample) -> Iterator[tuple[Tensor, Tensor]]:
        assert self._evaluator is not None
        for indices in self._evaluator.indices():
            yield indices, draw(model, self.seed, indices.tolist())
