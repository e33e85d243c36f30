"""Whether images get the attributes that are wanted and keep the others, in the eyes of a classifier of real images."""

__all__ = ["AttributeJudge"]

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lit_gen.contracts import Batch, ImageData, SupportsAttributes, SupportsTranslate
from lit_gen.functional.attributes import attribute_loss, attribute_values, with_value
from lit_gen.functional.noise import rand
from lit_gen.functional.quantize import to_uint8
from lit_gen.metrics.extractors.classifier_network import ClassifierNetwork
from lit_gen.metrics.judges.judge import Counts, Judge, Noise
from lit_gen.metrics.network_training import gather_training_images, train_network


class AttributeJudge(Judge):
    """Creates the judge of models that give images other attributes.

    Of each image, each group of attributes that the model can change is brought to another of its values, drawn evenly,
    one group at a time. A classifier of all groups, trained on real images, then says whether the image has it:
    ``changed/GROUP`` is the share of images that do, ``kept/GROUP`` the share of all other groups, over images, that
    are still recognised to have the value that they had; ``changed`` and ``kept`` are the means over groups.

    The data may know more attributes than the model: these should be kept, too.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation
        | (Choi et al., 2018), section 5.2
        | https://arxiv.org/abs/1711.09020

    Arguments:
        cache: Where trained networks are kept.
    """

    name: ClassVar[str] = "attribute_accuracy"
    compared: ClassVar[str] = "attributes wanted with those that a classifier of real images sees in translations"

    _data: Any
    _groups: list[list[int]]
    _changed: list[int]
    _of_model: list[int]

    def misfit(self, model: Any, data: ImageData) -> str | None:
        if not (isinstance(model, SupportsAttributes) and isinstance(model, SupportsTranslate)):
            return f"{type(model).__name__} changes no attributes, which {self.name} would be of"
        names, groups = getattr(data, "attribute_names", None), getattr(data, "attribute_groups", None)
        if not names or not groups:
            return f"{self.name} needs the attributes of images, which these data do not have"
        unknown = [name for name in model.attribute_names if name not in names]
        if unknown:
            return f"the model changes {', '.join(unknown)}, and the data do not know of it"
        if not any(set(group) <= set(model.changeable) for group in model.attribute_groups):
            return f"{type(model).__name__} changes no whole group of attributes"
        known = [{names[place] for place in group} for group in groups]
        for group in model.attribute_groups:
            if {model.attribute_names[place] for place in group} not in known:
                return f"the data know other values of {_called(group, model.attribute_names)} than the model"
        return None

    def look(self, model: Any, data: ImageData) -> None:
        self._data = data
        names = list(self._data.attribute_names)
        self._groups = [list(group) for group in self._data.attribute_groups]
        self._of_model = [names.index(name) for name in model.attribute_names]
        changeable = {self._of_model[place] for place in model.changeable}
        self._changed = [number for number, group in enumerate(self._groups) if set(group) <= changeable]

    def key(self) -> dict[str, Any]:
        return {"names": list(self._data.attribute_names), "groups": self._groups}

    def make(self) -> ClassifierNetwork:
        shape: tuple[int, int, int] = self._data.image_shape
        return ClassifierNetwork(shape, len(self._data.attribute_names))

    def train(self) -> nn.Module:
        image, attributes = gather_training_images(self._data, lambda batch: (batch["image"], batch["attributes"]))

        def loss(network: ClassifierNetwork, chosen: Tensor) -> Tensor:
            return attribute_loss(network(image[chosen])[1], attributes[chosen], self._groups)

        return train_network(self.make, loss, len(image), num_seen=60_000)

    @property
    def scores(self) -> Mapping[str, Sequence[int]]:
        num = len(self._changed)
        scores: dict[str, Sequence[int]] = {"changed": range(num), "kept": range(num, 2 * num)}
        for place, number in enumerate(self._changed):
            scores[f"changed/{self._called(number)}"] = [place]
            scores[f"kept/{self._called(number)}"] = [num + place]
        return scores

    def settings(self) -> dict[str, Any]:
        changed, every = self._changed, range(len(self._groups))
        return {"changed": [self._called(i) for i in changed], "recognised": [self._called(i) for i in every]}

    def judge(self, model: Any, batch: Batch, noise: Noise) -> Counts:
        own = self._values(batch["attributes"], 0.5)
        drawn = rand((len(own), len(self._changed)), noise("wanted"), own.device)
        right: list[Tensor] = []
        for place, number in enumerate(self._changed):
            group = self._groups[number]
            others = max(2, len(group)) - 1
            step = 1 + (drawn[:, place] * others).long().clamp(max=others - 1)
            wanted = own.clone()
            wanted[:, number] = (own[:, number] + step) % (others + 1)
            asked = with_value(batch["attributes"], group, wanted[:, number].to(batch["attributes"].device))
            given = {"attributes": batch["attributes"][:, self._of_model], "wanted": asked[:, self._of_model]}
            made = model.translate({**batch, **given}, noise(f"wanted {self._called(number)}"))
            right.append(self._values(self.see(self.stored(made))[1]) == wanted)
        return self._counts(right)

    def real(self, batch: Batch) -> Counts:
        found = self._values(self.see(to_uint8(batch["image"]))[1])
        return self._counts([found == self._values(batch["attributes"], 0.5)] * len(self._changed))

    def _values(self, scores: Tensor, threshold: float = 0.0) -> Tensor:
        """Returns each group's value, int64 [N, groups], on the CPU."""
        return torch.stack([attribute_values(scores, group, threshold) for group in self._groups], dim=1).cpu()

    def _counts(self, right: Sequence[Tensor]) -> Counts:
        """Returns what is recognised of each changed group, and of all others; right is [N, groups] for each."""
        changed = [found[:, number] for found, number in zip(right, self._changed, strict=True)]
        kept = [found.sum(1) - one.long() for found, one in zip(right, changed, strict=True)]
        numerator = torch.stack([column.double() for column in (*changed, *kept)], dim=1)
        denominator = torch.ones_like(numerator)
        denominator[:, len(changed) :] = len(self._groups) - 1
        return Counts(numerator, denominator)

    def _called(self, number: int) -> str:
        return _called(self._groups[number], self._data.attribute_names)


def _called(group: Sequence[int], names: Sequence[str]) -> str:
    return names[group[0]].partition("=")[0] if len(group) > 1 else names[group[0]]
