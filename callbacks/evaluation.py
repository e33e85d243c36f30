"""Scores during training, from the same evaluator that scores checkpoints."""

__all__ = ["Evaluation"]

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gen.callbacks.classifier_guidance import ClassifierGuidance
from lit_gen.callbacks.ema import EMA, find_ema
from lit_gen.callbacks.evaluation_budget import EvaluationBudget, validates_last
from lit_gen.callbacks.reporting import report
from lit_gen.callbacks.run_folder import run_folder
from lit_gen.callbacks.sampling import draw, inference
from lit_gen.callbacks.score_monitors import ScoreMonitors
from lit_gen.callbacks.scorers import ImageScorer, JudgeScorer, Scorer
from lit_gen.contracts import ImageData, PointData, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.metrics import EvaluationResult, Evaluator, ImageEvaluator, ImageResult, JudgeEvaluator
from lit_gen.metrics.every_metric import of_classes
from lit_gen.metrics.extractors import Classifier, Extractor
from lit_gen.metrics.image_result import results_dict
from lit_gen.metrics.requested import split_names
from lit_gen.training.averaged_weights import check_weights
from lit_gen.training.seeding import isolated

log = logging.getLogger(__name__)


class Evaluation(Callback):
    """Creates the scoring of samples at the end of validation (on the val split) and of testing (on the test split).

    Samples come from averaged weights, if the trainer has an `EMA`; sample i of a seed is the same image at every
    evaluation but for the weights. Scores go to the loggers, into ``evaluation/`` in the run's folder together with
    their protocol, and to the checkpoints of the same validation: ``ModelCheckpoint(monitor="fid[classifier]")``.
    Extractor and statistics of the real images are made before training starts. Neither the training nor any global
    random number is touched.

    How often validation runs is the trainer's matter (`val_check_interval`, in steps); the first is always scored. What
    an evaluation cost is logged as ``speed/evaluation_seconds``, its parts as ``speed/evaluation_generate``,
    ``…_features`` and ``…_metrics``, and the share of the training time that all of them took so far as
    ``speed/evaluation_share``. With ``max_share``, an evaluation that would exceed that share is put off to a later
    validation: fewer are scored, by the same protocol. The first and the last validation are scored whatever they cost.

    Arguments:
        metrics: The metrics of samples, such as ``fid``, ``kid``, ``pr`` (see `lit_gen.metrics.Evaluator`); ``psnr``,
            ``ssim``, ``l1``, ``lpips`` of translations or reconstructions, ``bpd``, ``nll`` of a likelihood, over every
            image of the split; ``segmentation``, ``attribute_accuracy``, ``domain_accuracy``: what networks recognise
            in translations; none turns scoring off, and with it the checkpoints that watch its scores.
        extractor: What the metrics see the images through; a `Classifier` of the training data by default.
        num_samples: The number of images drawn.
        every_n_validations: Only every n-th validation is scored.
        batch_size: The images drawn at once.
        seed: The seed of the images.
        num_draws: How often a likelihood is drawn and averaged, for models whose bound is random.
        lpips_network: The network of LPIPS: ``vgg``, ``alex`` or ``squeeze``.
        lpips_weights_path: A file with torchvision's weights of it; looked for and downloaded by default.
        max_share: The most of the training time, between 0 and 1, that evaluations may take; any by default.
        weights: Which of the model's weights are scored: ``ema``, ``ema:HALF_LIFE`` if the `EMA` keeps several
            averages, or ``raw``.
        classifier_guidance: How far the samples of a diffusion model are guided by a classifier, if at all; see
            `lit_gen.callbacks.classifier_guidance`.

    Raises:
        UserError: If a number makes no sense.
    """

    def __init__(
        self,
        metrics: Sequence[str] = ("fid",),
        extractor: Extractor | None = None,
        num_samples: int = 5_000,
        every_n_validations: int = 1,
        batch_size: int = 128,
        seed: int = 0,
        num_draws: int = 1,
        lpips_network: Literal["vgg", "alex", "squeeze"] = "vgg",
        lpips_weights_path: str | None = None,
        max_share: float | None = None,
        weights: str = "ema",
        classifier_guidance: float | None = None,
    ) -> None:
        if every_n_validations < 1:
            raise UserError(f"Evaluation's every_n_validations is {every_n_validations}, and must be at least 1")
        self.metrics = tuple(metrics)
        self.extractor = Classifier() if extractor is None else extractor
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.every_n_validations, self.weights = every_n_validations, check_weights(weights)
        self._image_settings: dict[str, Any] = {
            "num_draws": num_draws,
            "lpips_network": lpips_network,
            "lpips_weights_path": lpips_weights_path,
        }
        self.last_result: EvaluationResult | None = None
        self.last_results: list[EvaluationResult | ImageResult] = []
        self._evaluator: Evaluator | None = None
        self._scorers: list[Scorer] = []
        self._validations = 0
        self._guidance = None if classifier_guidance is None else ClassifierGuidance(classifier_guidance)
        self._budget = EvaluationBudget(max_share)
        self._monitors = ScoreMonitors()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._evaluator, self._scorers = None, []
        if stage == "predict" or trainer.fast_dev_run or not self.metrics:  # type: ignore[attr-defined]
            self._monitors.switch_off(trainer)
            return
        self._chosen_weights(trainer)  # what is wrong with them is said before training
        split = "test" if stage == "test" else "val"
        data = getattr(trainer, "datamodule", None)
        if data is None:
            raise UserError("Evaluation needs a datamodule to compare samples with; give the trainer one")
        if isinstance(data, PointData):  # no pictures; `PointsView` measures them
            self._monitors.switch_off(trainer)
            return
        sets, images, judges = split_names(self.metrics)
        how = (split, None, self.batch_size, self.seed)
        if images:
            self._add(trainer, pl_module, data, ImageScorer(ImageEvaluator(images, *how, **self._image_settings)))
        if judges:
            self._add(trainer, pl_module, data, JudgeScorer(JudgeEvaluator(judges, *how)))
        reason = self._misfit(pl_module, data, split) if sets else None
        if reason:
            rank_zero_warn(f"Evaluation is off, no {', '.join(sets)} will be computed: {reason}")
        if reason or not sets:
            self._monitors.switch_off(trainer, others=(*ImageScorer.tasks, *JudgeScorer.tasks))
            return
        # Now, not when first needed: whatever is missing is said before training, and this is no inference mode, in
        # which a classifier could not be trained.
        self._evaluator = Evaluator(
            self.extractor,
            metrics=sets,
            num_samples=self.num_samples,
            split=split,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        with isolated():
            self._evaluator.prepare(cast(ImageData, data), trainer.strategy.root_device)
            if self._guidance is not None:
                self._guidance.prepare(pl_module, cast(ImageData, data), trainer.strategy.root_device)

    def _add(self, trainer: Trainer, pl_module: LightningModule, data: Any, scorer: Scorer) -> None:
        reason = scorer.misfit(pl_module, data)
        if reason:
            rank_zero_warn(f"Evaluation is off, no {', '.join(scorer.metrics)} will be computed: {reason}")
            self._monitors.switch_off(trainer, only=scorer.tasks)
            return
        with isolated():
            scorer.prepare(pl_module, data, trainer.strategy.root_device)
        self._scorers.append(scorer)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or not self._is_on:
            return
        if trainer.state.fn != "fit":
            self._evaluate(trainer, pl_module, "val")
            return
        regular = self._validations % self.every_n_validations == 0
        always = self._validations == 0 or (self._budget.max_share is not None and validates_last(trainer))
        self._validations += 1
        # The first process decides on the budget, for the others' clocks differ.
        if always or (regular and trainer.strategy.broadcast(self._budget.allows_another())):
            self._monitors.release()
            self._evaluate(trainer, pl_module, f"step_{trainer.global_step:08d}")
            return
        self._monitors.hold(trainer)
        if regular:
            self._put_off(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._budget.start()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._budget.stop()
        self._monitors.release()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_on:
            self._evaluate(trainer, pl_module, "test")

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self._validations, **self._budget.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._validations = state_dict["validations"]
        self._budget.load_state_dict(state_dict)

    def _misfit(self, pl_module: LightningModule, data: Any, split: str) -> str | None:
        """Says why there is nothing to compare, None if there is."""
        if not isinstance(pl_module, SupportsSample):
            return f"{type(pl_module).__name__} does not sample"
        if not data.num_images(split):
            return f"the data have no {split} images"
        if (
            (needy := of_classes(self.metrics))
            and self._guidance is None
            and getattr(pl_module, "num_classes", None) != data.num_classes
        ):
            return f"{type(pl_module).__name__} does not draw the classes of the data, which {needy[0]} needs"
        if data.num_classes is None and isinstance(self.extractor, Classifier):
            return (
                "the data have no labels to train a classifier on; take another extractor (--evaluation.extractor "
                "InceptionV3), or none of its metrics (--evaluation.metrics [])"
            )
        return None

    def _chosen_weights(self, trainer: Trainer) -> str:
        """Returns the name of the weights that are scored."""
        return (find_ema(trainer) or EMA(half_life=0)).chosen(self.weights)

    @property
    def _is_on(self) -> bool:
        return self._evaluator is not None or bool(self._scorers)

    def _put_off(self, trainer: Trainer) -> None:
        self._budget.put_off += 1
        if self._budget.put_off == 1 and trainer.is_global_zero:
            log.info(
                "Scores are put off: one more evaluation of %.1f s would take more of the training time than "
                "max_share=%g. The next one says how many there were.",
                *(self._budget.cost, self._budget.max_share),
            )

    def _evaluate(self, trainer: Trainer, pl_module: LightningModule, name: str) -> None:
        weights = self._chosen_weights(trainer)
        results: list[EvaluationResult | ImageResult] = []
        with self._budget.measured(), inference(trainer, pl_module, weights):
            if self._evaluator is not None:
                assert isinstance(pl_module, SupportsSample), "setup has seen to that"
                sampler: SupportsSample = pl_module
                named = weights
                if self._guidance is not None:
                    sampler, named = self._guidance.of(pl_module), self._guidance.named(weights)
                self.last_result = self._evaluator.evaluate(self._samples(sampler, pl_module.device), named)
                results.append(self.last_result)
            for scorer in self._scorers:
                results += scorer.score(pl_module, trainer.strategy.root_device, weights)
        self.last_results = results
        report(pl_module, {name: score for result in results for name, score in result.named().items()})
        if trainer.state.fn == "fit":
            self._report_cost(trainer, pl_module)
        if trainer.is_global_zero:
            entry = {"step": trainer.global_step, **results_dict(results)}
            with replacing(run_folder(trainer) / "evaluation" / f"{name}.json") as path:
                path.write_text(json.dumps(entry, indent=2) + "\n", "utf-8")

    def _report_cost(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs what the evaluation took."""
        seconds = {} if self._evaluator is None or self.last_result is None else self.last_result.seconds
        parts = {name: seconds[name] for name in ("generate", "features", "metrics") if seconds}
        cost, share, put_off = self._budget.cost, self._budget.share, self._budget.put_off
        named = {f"speed/evaluation_{name}": value for name, value in parts.items()}
        report(pl_module, {**named, "speed/evaluation_seconds": cost, "speed/evaluation_share": share})
        if trainer.is_global_zero:
            said = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
            skipped = f"; {put_off} before it were put off" if put_off else ""
            said = f" ({said})" if said else ""
            log.info("Scored in %.1f s%s, %.1f %% of the time so far%s.", cost, said, 100 * share, skipped)
        self._budget.put_off = 0

    def _samples(self, model: SupportsSample, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        assert self._evaluator is not None
        for indices in self._evaluator.indices():
            label = self._evaluator.labels(indices)
            on_device = None if label is None else label.to(device)
            yield indices, draw(model, self.seed, indices.tolist(), on_device), label
