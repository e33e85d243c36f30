"""Samples of a diffusion model that follow labels as a classifier of the data sees them."""

__all__ = ["ClassifierGuidance", "GuidedModel"]

from typing import Any

import torch
from torch import Tensor

from lit_gen.contracts import Generators, ImageData, SupportsClassifierGuidance, SupportsNoise
from lit_gen.errors import UserError
from lit_gen.functional.class_labels import drawn_label
from lit_gen.metrics.extractors import Classifier
from lit_gen.metrics.extractors.classifier_network import ClassifierNetwork

_SEED = 1


class ClassifierGuidance:
    r"""Creates the guidance of models by a classifier of clean images; see `lit_gen.functional.classifier_guidance`.

    The classifier is `lit_gen.metrics.extractors.Classifier`, trained on the data's training split once and kept in the
    cache. It is not the one that scores are computed with, but of another seed: images made to please the judge would
    be scored too well.

    Arguments:
        scale: The weight w of the classifier's gradient, above 0.
    """

    def __init__(self, scale: float) -> None:
        if not scale > 0:
            raise UserError(f"classifier_guidance is {scale}, and must be above 0")
        self.scale = scale
        self.classifier = Classifier(seed=_SEED)

    def prepare(self, model: Any, data: ImageData, device: torch.device) -> None:
        """Gets the classifier of the data, after looking whether model and data will do.

        Raises:
            UserError: If they do not.
        """
        if not isinstance(model, SupportsClassifierGuidance):
            raise UserError(f"{type(model).__name__}'s samples cannot be guided by a classifier: leave it out")
        if isinstance(model, SupportsNoise) and not model.noise_is_independent:
            raise UserError(
                "guidance by a classifier is not for a model whose noise was coupled with images in training"
            )
        if tuple(model.image_shape) != tuple(data.image_shape):
            raise UserError(
                f"the model's images are of shape {list(model.image_shape)}, and those that a classifier can be "
                f"trained on of {list(data.image_shape)}: it cannot guide the model"
            )
        if data.num_classes is None:
            raise UserError(
                f"the images of {data.name} have no labels to train a classifier on that could guide samples"
            )
        self.classifier.prepare(data, device)

    def of(self, model: Any) -> "GuidedModel":
        """Returns the model whose samples are guided; after `prepare`."""
        return GuidedModel(model, self)

    def named(self, weights: str) -> str:
        """Returns what generated the images, for the protocol: a model's weights, and this."""
        return f"{weights}, classifier guidance {self.scale:g}"

    def classify(self, image: Tensor) -> Tensor:
        """Maps images in [−1, 1], [N, C, H, W], to logits [N, K]; gradients pass to the images."""
        network = self.classifier.network
        assert isinstance(network, ClassifierNetwork)
        with torch.autocast(image.device.type, enabled=False):
            logits: Tensor = network.of_floats(image.float())[1]
        return logits


class GuidedModel:
    """Creates a model of labelled images from one that need not know labels, and a classifier.

    Arguments:
        model: The model.
        guidance: The guidance, prepared for the model.
    """

    def __init__(self, model: SupportsClassifierGuidance, guidance: ClassifierGuidance) -> None:
        self._model, self._guidance = model, guidance
        self.image_shape = model.image_shape
        head = guidance.classifier.network.head
        assert isinstance(head, torch.nn.Linear)
        self.num_classes = head.out_features

    def sample(self, num: int, label: Tensor | None = None, generator: Generators | None = None) -> Tensor:
        """Draws images in about [−1, 1], [num, C, H, W]; of labels [num], drawn uniformly by default."""
        device = self._guidance.classifier.network.head.weight.device  # type: ignore[union-attr]
        label = drawn_label(label, num, self.num_classes, generator, device)  # type: ignore[arg-type]
        assert label is not None
        return self._model.sample_by_classifier(label, self._guidance.classify, self._guidance.scale, generator)
