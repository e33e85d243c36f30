"""What features are worth: the spaces that images are seen in, clusters there, and classifiers on few labels."""

__all__ = ["FewLabels", "Space", "clustered", "feature_spaces"]

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.commands.diagnose.encoded import RealImages, encoded
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.cluster_accuracy import cluster_accuracy
from lit_gen.training.probe import Head, fit_head, fit_with_encoder
from lit_gen.training.seeding import isolated

_RATE, _BATCH = 3e-4, 64  # of fine-tuning
_FULL = 1024  # numbers of an image up to which its components are found exactly

Space = Callable[[RealImages], Tensor]


def feature_spaces(model: LightningModule, unlabelled: RealImages) -> dict[str, Space]:
    """Returns what maps images to features: their pixels, as many principal components as latents, their latents."""
    from sklearn.decomposition import PCA

    def pixels(images: RealImages) -> Tensor:
        return from_uint8(images.image).flatten(1)

    x, size = pixels(unlabelled), encoded(model, unlabelled).shape[1]
    # Of many pixels, a random projection finds the first components in a fraction of the time.
    solver = "full" if x.shape[1] <= _FULL else "randomized"
    found = PCA(min(size, *x.shape), svd_solver=solver, random_state=0).fit(x.numpy())
    return {
        "pixels": pixels,
        "PCA": lambda images: torch.from_numpy(found.transform(pixels(images).numpy())).float(),
        "encoder": lambda images: encoded(model, images),
    }


def clustered(known: Tensor, new: Tensor, label: Tensor, num_classes: int, seed: int) -> float:
    """Returns how well k-means on features [N, D] tells the classes [M] of new ones [M, D]: see `cluster_accuracy`.

    Raises:
        UserError: If there are fewer images than classes.
    """
    from sklearn.cluster import KMeans

    if len(known) < num_classes:
        raise UserError(f"{len(known)} training images cannot be put into {num_classes} clusters: raise --num_images")
    cluster = KMeans(num_classes, n_init=4, random_state=seed % 2**32).fit(known.numpy()).predict(new.numpy())
    return cluster_accuracy(torch.from_numpy(cluster).long(), label)


@dataclass
class FewLabels:
    """Creates the trials of classifiers on a few labelled images.

    Arguments:
        model: The trained model.
        fresh: Makes it anew, untrained.
        held_out: The images, with labels, that accuracies are of.
        num_classes: The number of classes.
        hidden: The classifier's hidden layers.
        steps: Its iterations at most.
        fine_tune_steps: The encoder's steps, 0 to leave it as it is.
    """

    model: LightningModule
    fresh: Callable[[], LightningModule]
    held_out: RealImages
    num_classes: int
    hidden: Sequence[int]
    steps: int
    fine_tune_steps: int

    def on_features(self, few: Mapping[str, Tensor], new: Mapping[str, Tensor], label: Tensor, seed: int) -> Any:
        """Returns the accuracy of a classifier on each kind of features, by name.

        Arguments:
            few: The labelled images' features, [N, D] each.
            new: The held-out images' features.
            label: The labels, shape [N].
            seed: Fixes the classifiers' first weights.
        """
        return {name: self._accuracy(self._fit(x, label, seed), new[name]) for name, x in few.items()}

    def of_networks(self, few: RealImages, seed: int) -> dict[str, float]:
        """Returns the accuracy of the encoder with a classifier on top, both trained: fine-tuned, and from scratch.

        Without steps for that, or if no gradient passes the encoder, there is none.
        """
        if not self.fine_tune_steps or not self._can_be_tuned(few):
            return {}
        with isolated():
            torch.manual_seed(seed)
            fresh = self.fresh().to(self.model.device).eval()
        tuned = self._trained(copy.deepcopy(self.model), few, seed, training=False)
        # What has not been trained yet has no statistics that could be left as they are.
        return {"encoder, fine-tuned": tuned, "encoder, from scratch": self._trained(fresh, few, seed, training=True)}

    def _can_be_tuned(self, few: RealImages) -> bool:
        encode: Any = self.model.encode
        with torch.enable_grad():
            z: Tensor = encode(from_uint8(few.image[:1].to(self.model.device)), None)
        return z.requires_grad

    def _trained(self, network: LightningModule, few: RealImages, seed: int, training: bool) -> float:
        assert few.label is not None
        head, encode = self._fit(encoded(network, few), few.label, seed), network.encode
        image, label = from_uint8(few.image.to(network.device)), few.label.to(network.device)
        fit_with_encoder(network, encode, head, image, label, self.fine_tune_steps, _RATE, _BATCH, seed, training)  # type: ignore[arg-type]
        return self._accuracy(head, encoded(network, self.held_out))

    def _fit(self, features: Tensor, label: Tensor, seed: int) -> Head:
        device = self.model.device
        return fit_head(features.to(device), label.to(device), self.num_classes, self.hidden, self.steps, seed)

    @torch.no_grad()
    def _accuracy(self, head: Head, features: Tensor) -> float:
        assert self.held_out.label is not None
        right = head(features.to(self.model.device)).argmax(dim=1).cpu().eq(self.held_out.label)
        return float(right.double().mean())
