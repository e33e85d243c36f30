"""How diverse samples are while a model trains, and an alarm when they all become alike."""

__all__ = ["Diversity"]

from typing import Any, NamedTuple, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gen.callbacks.reporting import report
from lit_gen.callbacks.sampling import draw, inference
from lit_gen.contracts import ImageData, SupportsSample
from lit_gen.errors import UserError
from lit_gen.functional.diversity import label_spread, pairwise_distance
from lit_gen.metrics.extractors import Classifier, Extractor
from lit_gen.metrics.feature_pass import FeaturePass
from lit_gen.training.seeding import isolated


class _Real(NamedTuple):
    """What real images are like: mean distances between two, and how often each class is seen (None: no classes)."""

    features: float
    pixels: float
    labels: Tensor | None


class Diversity(Callback):
    """Creates the watch for mode collapse: how unlike each other samples are, at the end of every validation.

    It logs, beside each other in ``metrics.csv`` for ``lit-gen diagnose collapse``:

    * ``diversity/features`` and ``diversity/pixels``, the mean distance between two samples over that between two real
      images of the validation split: about 1 for a model that is as diverse as the data, 0 for one that always draws
      the same image;
    * ``diversity/label_entropy`` (nats), ``diversity/label_divergence`` (KL to the classes that are seen in real
      images, nats) and ``diversity/classes_found``, if the extractor classifies.

    Once in a run it warns: when ``diversity/features`` falls below `alarm`, or is below it from step `alarm_from` on,
    before which it may not have risen yet. Samples come from averaged weights, if the trainer has an `EMA`; they are
    the same at every validation but for the weights, and neither the training nor any global random number is touched.
    Every process draws all of them.

    Arguments:
        num_samples: The number of images drawn, and at most of real ones looked at.
        extractor: What sees features and classes; a `Classifier` of the training data by default.
        alarm: The share of the real images' diversity below which it warns; 0 for never.
        alarm_from: The step from which it warns although the samples have never been diverse: untrained models draw
            images that are all alike.
        batch_size: The images drawn at once.
        seed: The seed of the images.
    """

    def __init__(
        self,
        num_samples: int = 500,
        extractor: Extractor | None = None,
        alarm: float = 0.5,
        alarm_from: int = 1000,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        if num_samples < 2 or batch_size < 1 or alarm < 0:
            raise UserError(
                "Diversity's num_samples must be at least 2, its batch_size at least 1, its alarm 0 or more"
            )
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.alarm, self.alarm_from = alarm, alarm_from
        self.extractor = Classifier() if extractor is None else extractor
        self._through: FeaturePass | None = None
        self._real: _Real | None = None
        self._alarmed = self._risen = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._real = None
        if stage not in ("fit", "validate") or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        data = getattr(trainer, "datamodule", None)
        reason = self._misfit(pl_module, data)
        if reason:
            rank_zero_warn(f"Diversity is off: {reason}")
            return
        with isolated(), torch.inference_mode(False):
            self._prepare(cast(ImageData, data), trainer.strategy.root_device)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or self._real is None:
            return
        assert isinstance(pl_module, SupportsSample)
        with inference(trainer, pl_module):
            parts = torch.arange(self.num_samples).split(self.batch_size)
            values = self.measure(torch.cat([draw(pl_module, self.seed, part.tolist()) for part in parts]))
        report(pl_module, values)
        low = values["diversity/features"] < self.alarm
        if low and not self._alarmed and (self._risen or trainer.global_step >= self.alarm_from):
            self._alarmed = True
            rank_zero_warn(
                f"mode collapse? At step {trainer.global_step} two samples are on average "
                f"{values['diversity/features']:.2f} times as unlike each other as two real images (the alarm is at "
                f"{self.alarm:g}); lit-gen diagnose collapse draws how it came about"
            )
        self._risen |= not low

    def measure(self, image: Tensor) -> dict[str, float]:
        """Returns what is logged of samples uint8 [N, C, H, W]."""
        assert self._through is not None and self._real is not None, "setup has been called"
        features, logits, _ = self._through.features(image)
        values = {
            "diversity/features": pairwise_distance(features) / self._real.features,
            "diversity/pixels": pairwise_distance(image.float().flatten(1)) / self._real.pixels,
        }
        if logits is not None and self._real.labels is not None:
            spread = label_spread(logits.argmax(dim=1).cpu(), self._real.labels)
            values["diversity/label_entropy"] = spread.entropy
            values["diversity/label_divergence"] = spread.divergence
            values["diversity/classes_found"] = spread.found
        return values

    def state_dict(self) -> dict[str, Any]:
        return {"alarmed": self._alarmed, "risen": self._risen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._alarmed, self._risen = state_dict["alarmed"], state_dict["risen"]

    def _misfit(self, pl_module: LightningModule, data: Any) -> str | None:
        """Says why there is nothing to compare, None if there is."""
        if not isinstance(pl_module, SupportsSample):
            return f"{type(pl_module).__name__} does not sample"
        if data is None or data.num_images("val") < 2:
            return "there are no validation images to compare with"
        if data.num_classes is None and isinstance(self.extractor, Classifier):
            return "the data have no labels to train a classifier on; give it another extractor, such as InceptionV3"
        return None

    def _prepare(self, data: ImageData, device: torch.device) -> None:
        self.extractor.prepare(data, device)
        self._through = FeaturePass(self.extractor, device, "float32", self.batch_size)
        # All of the split, on every process: split_batches would give each a share of it.
        count = min(self.num_samples, data.num_images("val"))
        chosen = set((torch.arange(count) * data.num_images("val") // count).tolist())
        kept, start = [], 0
        for batch in data.batches("val", self.batch_size):
            taken = [i in chosen for i in range(start, start + len(batch["image"]))]
            kept.append(batch["image"][torch.tensor(taken, device=batch["image"].device)])
            start += len(taken)
        image = torch.cat(kept)
        features, logits, _ = self._through.features(image)
        labels = None
        if logits is not None:
            # One more of each, so that a class that no real image is taken for does not make KL infinite.
            labels = torch.bincount(logits.argmax(dim=1).cpu(), minlength=logits.shape[1]) + 1
        self._real = _Real(pairwise_distance(features), pairwise_distance(image.float().flatten(1)), labels)
