"""Features from a classifier trained on the data themselves: no download, any kind of image."""

__all__ = ["Classifier"]

import logging
import time
from typing import Any

import torch
from torch import Tensor

from lit_gen.contracts import Batch, ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.cache import Cache, content_hash
from lit_gen.metrics.distributed import from_rank_zero
from lit_gen.metrics.extractors.classifier_network import VERSION, ClassifierNetwork, train_classifier
from lit_gen.metrics.extractors.extractor import Extractor
from lit_gen.metrics.extractors.weights import load_weights, weights_hash
from lit_gen.metrics.features import Features
from lit_gen.metrics.network_training import gather_training_images
from lit_gen.metrics.precision import feature_arithmetic

log = logging.getLogger(__name__)


class Classifier(Extractor):
    """Creates the extractor that is a small convolutional classifier of the data's own classes.

    It is trained once on the labelled training split, deterministically, and kept in the cache by the hash of the data
    and the version of its code. Its accuracy on the test split goes into the protocol. Features are the 128 units of
    its last hidden layer, logits one per class. The same data give the same weights for any number of cores and
    processes; another kind of processor may round otherwise, so to compare scores across machines, `save` the weights
    on one and give the file to the others.

    Arguments:
        weights_path: A file that `save` wrote; by default the classifier is trained, or taken from the cache.
        cache_dir: Where trained classifiers are kept; by default ``LIT_GEN_CACHE`` or ``~/.cache/lit_gen``.
        seed: Seeds the first weights and the order of the images: scores through unlike ones cannot be compared.
    """

    def __init__(self, weights_path: str | None = None, cache_dir: str | None = None, seed: int = 0) -> None:
        super().__init__()
        self.weights_path, self.seed = weights_path, seed
        self.cache = Cache(cache_dir)
        self._prepared_for: str | None = None
        self._sha256: str | None = None
        self._accuracy: float | None = None

    @property
    def name(self) -> str:
        """``classifier``."""
        return "classifier"

    def prepare(self, data: ImageData, device: torch.device) -> None:
        """Gets the classifier of this data: from the file, from the cache, or by training it.

        Raises:
            UserError: If the images have no labels or are too few or too small, or the file does not fit them.
        """
        if data.num_classes is None:
            raise UserError(f"the images of {data.name} have no labels to train Classifier on: use InceptionV3")
        if data.num_images("train") < 2:
            raise UserError(f"Classifier cannot be trained: the train split of {data.name} has fewer than 2 images")
        if min(data.image_shape[1:]) < 8:
            raise UserError(
                f"Classifier needs images of at least 8 × 8, not {data.image_shape[1]} × {data.image_shape[2]}"
            )
        key = {
            "version": VERSION,
            "train": data.fingerprint("train"),
            "test": data.fingerprint("test"),
            "image_shape": list(data.image_shape),
            "num_classes": data.num_classes,
            "weights_path": self.weights_path,
            **({"seed": self.seed} if self.seed else {}),
        }
        if self._prepared_for == content_hash(key):
            self.hold(self.network, device)
            return
        # One process trains, and all take its weights: they must not see images through different eyes.
        entry = from_rank_zero(lambda: self._from_file(data) if self.weights_path else self._from_cache(data, key))
        self.hold(_network(data, entry["weights"]), device)
        self._sha256, self._accuracy = weights_hash(entry["weights"]), entry["accuracy"]
        self._prepared_for = content_hash(key)

    def forward(self, image: Tensor) -> Features:
        """Returns features [N, 128] and logits [N, K] of images uint8 [N, C, H, W]."""
        features, logits = self.network(image)
        return Features(features, logits)

    def describe(self) -> dict[str, Any]:
        """Returns name, resize (none), the hash of the weights and the accuracy on the test split."""
        return {"name": self.name, "resize": "none", "sha256": self._sha256, "accuracy": self._accuracy}

    def save(self, path: str) -> None:
        """Writes the weights to a file for ``weights_path``; after `prepare`."""
        torch.save({name: value.cpu() for name, value in self.network.state_dict().items()}, path)

    def _from_file(self, data: ImageData) -> dict[str, Any]:
        assert self.weights_path is not None, "there is a file"
        weights = load_weights(self.weights_path)
        try:
            network = _network(data, weights)
        except RuntimeError as error:
            raise UserError(f"{self.weights_path} does not hold a Classifier for the images of {data.name}") from error
        return {"weights": weights, "accuracy": _accuracy(network, data)}

    def _from_cache(self, data: ImageData, key: dict[str, Any]) -> dict[str, Any]:
        entry = self.cache.get("classifier", key)
        if entry is None:
            network = _trained(data, self.seed)
            entry = {"weights": network.state_dict(), "accuracy": _accuracy(network, data)}
            self.cache.put("classifier", key, entry)
        return entry


def _network(data: ImageData, weights: dict[str, Tensor]) -> ClassifierNetwork:
    """Returns a network for the data with these weights."""
    assert data.num_classes is not None, "the data are labelled"
    with torch.random.fork_rng(devices=[]):
        network = ClassifierNetwork(data.image_shape, data.num_classes)
    network.load_state_dict(weights)
    return network.to(memory_format=torch.channels_last).eval()


def _trained(data: ImageData, seed: int) -> ClassifierNetwork:
    """Returns a network trained on the training split."""
    assert data.num_classes is not None, "the data are labelled"

    def labelled(batch: Batch) -> tuple[Tensor, Tensor]:
        if "label" not in batch:
            raise UserError(f"the images of {data.name} have no labels to train Classifier on: use InceptionV3")
        return batch["image"], batch["label"]

    image, label = gather_training_images(data, labelled)
    log.info(
        "Training the classifier of %s on %d images, once; this takes seconds to a minute …", data.name, len(image)
    )
    begin = time.perf_counter()
    network = train_classifier(image, label, data.num_classes, seed)
    log.info("Trained it in %.0f s.", time.perf_counter() - begin)
    return network


def _accuracy(network: ClassifierNetwork, data: ImageData) -> float | None:
    """Returns the share of the test split's images that are classified rightly, or None if there are none."""
    right = 0
    with feature_arithmetic(torch.device("cpu")):
        for batch in data.batches("test", 256):
            right += int((network(batch["image"].cpu())[1].argmax(dim=1) == batch["label"].cpu()).sum())
    return right / data.num_images("test") if data.num_images("test") else None
