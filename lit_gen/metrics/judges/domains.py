"""Whether translations between two domains belong to the other one, in the eyes of a classifier of real images."""

__all__ = ["DomainJudge"]

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lit_gen.contracts import Batch, ImageData, SupportsTranslate, SupportsTranslateBack
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.metrics.extractors.classifier_network import ClassifierNetwork
from lit_gen.metrics.judges.judge import Counts, Judge, Noise
from lit_gen.metrics.network_training import gather_training_images, train_network
from lit_gen.metrics.pixel_metrics import PeakSignalNoiseRatio


class DomainJudge(Judge):
    """Creates the judge of models that turn sources into images of another kind.

    A classifier is trained to tell real sources from real images. ``domain_accuracy`` is the share of translated
    sources that it takes for images. Of a model that can go back, ``domain_accuracy_back`` is the share of images,
    turned into sources, that it takes for such, and ``cycle_psnr`` compares sources with what comes back of them, in
    decibels. On their way they are images of 8 bits: a cycle cannot rely on what no file would keep.

    References:
        | CycleGAN, a Master of Steganography (Chu et al., 2017), on what cycles hide in images
        | https://arxiv.org/abs/1712.02950

    Arguments:
        cache: Where trained networks are kept.
    """

    name: ClassVar[str] = "domain_accuracy"
    compared: ClassVar[str] = "the domain wanted with that which a classifier of real images sees in translations"

    _data: Any
    _back: bool

    def misfit(self, model: Any, data: ImageData) -> str | None:
        if not isinstance(model, SupportsTranslate):
            return f"{type(model).__name__} does not translate, and {self.name} judges translations"
        source_shape = getattr(data, "source_shape", None)
        if source_shape is None:
            return f"{self.name} needs sources that are images, which these data do not have"
        if tuple(source_shape) != tuple(data.image_shape):
            return (
                f"{self.name} cannot be had: sources have {source_shape[0]} channels and images {data.image_shape[0]}, "
                "which tells them apart without looking"
            )
        return None

    def look(self, model: Any, data: ImageData) -> None:
        self._data, self._back = data, isinstance(model, SupportsTranslateBack)

    def key(self) -> dict[str, Any]:
        return {}

    def make(self) -> ClassifierNetwork:
        return ClassifierNetwork(self._data.image_shape, 2)

    def train(self) -> nn.Module:
        image, source = gather_training_images(self._data, lambda batch: (batch["image"], batch["source"]))
        both = torch.cat([source, image])
        domain = torch.arange(len(both)) // len(source)

        def loss(network: ClassifierNetwork, chosen: Tensor) -> Tensor:
            return cross_entropy(network(both[chosen])[1], domain[chosen])

        return train_network(self.make, loss, len(both), num_seen=60_000)

    @property
    def scores(self) -> Mapping[str, Sequence[int]]:
        scores = {"domain_accuracy": [0], "domain_accuracy_back": [1], "cycle_psnr": [2]}
        return scores if self._back else {"domain_accuracy": [0]}

    def settings(self) -> dict[str, Any]:
        return {"cycle": "of 8-bit images" if self._back else "none"}

    def judge(self, model: Any, batch: Batch, noise: Noise) -> Counts:
        made = self.stored(model.translate({"source": batch["source"]}, noise("translation")))
        found = [self._share(made, 1)]
        if self._back:
            back = self.stored(model.translate_back({"image": batch["image"]}))
            again = self.stored(model.translate_back({"image": from_uint8(made)}))
            on_cpu = (again.cpu(), to_uint8(batch["source"]).cpu())
            found += [self._share(back, 0), PeakSignalNoiseRatio()(*on_cpu)]
        numerator = torch.stack(found, dim=1)
        return Counts(numerator, torch.ones_like(numerator))

    def real(self, batch: Batch) -> Counts:
        found = [self._share(to_uint8(batch["image"]), 1), self._share(to_uint8(batch["source"]), 0)]
        numerator = torch.stack([*found, torch.zeros_like(found[0])], dim=1)
        denominator = torch.ones_like(numerator)
        denominator[:, 2] = 0  # real images go through no cycle
        return Counts(numerator, denominator) if self._back else Counts(numerator[:, :1], denominator[:, :1])

    def _share(self, image: Tensor, domain: int) -> Tensor:
        """Returns 1 for each image that is taken for one of a domain, else 0, float64 [N], on the CPU."""
        _, logits = self.see(image)
        taken: Tensor = logits.argmax(1) == domain
        return taken.cpu().double()
