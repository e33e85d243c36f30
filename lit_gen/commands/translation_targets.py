"""Attributes that translated images are to have, from what the user writes to what a model takes."""

__all__ = ["Targets"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lit_gen.contracts import SupportsRecognition
from lit_gen.datamodules.resize import resize_uint8
from lit_gen.errors import UserError, nearest
from lit_gen.functional.quantize import from_uint8

_ANSWERS = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "-1": 0.0, "false": 0.0, "no": 0.0}


class Targets:
    """Creates the attributes wanted, as ``--target hair=3 smiling=no`` names them.

    Of the groups that it can change, those not named stay as the model recognises them in each image, if it does
    (`SupportsRecognition`).

    Arguments:
        model: The model, with `attribute_names`, `attribute_groups` and, if it cannot change all of them, `changeable`,
            the places of those that it can.
        wanted: What the user wrote: ``column=value``, or ``name=yes`` of an attribute that is there or not.

    Raises:
        UserError: If there is no such attribute, one is named twice, or one is missing that the model cannot recognise.
    """

    def __init__(self, model: nn.Module, wanted: Sequence[str]) -> None:
        names: Sequence[str] = model.attribute_names  # type: ignore[assignment]
        every: Sequence[Sequence[int]] = model.attribute_groups  # type: ignore[assignment]
        changeable = getattr(model, "changeable", range(len(names)))
        groups = [group for group in every if set(group) <= set(changeable)]
        self._model, self._values = model, torch.zeros(len(names))
        self._given = torch.zeros(len(names), dtype=torch.bool)
        for word in wanted:
            place, value = _read(word, names, groups)
            group = list(next(group for group in groups if place in group))
            if self._given[group].any():
                raise UserError(f"--target names {_called(group, names)} twice")
            self._given[group] = True
            self._values[place] = value
        missing = [_called(group, names) for group in groups if not self._given[list(group)].all()]
        if not wanted or (missing and not isinstance(model, SupportsRecognition)):
            raise UserError(
                f"--target must say which {' and '.join(missing)} images are to have, as in --target "
                + " ".join(_example(group, names) for group in groups if not self._given[list(group)].all())
            )
        self._complete = not missing

    def of(self, image: Tensor, device: torch.device) -> Tensor:
        """Returns an image's target, float32 [1, A] in {0, 1} on a device.

        Arguments:
            image: The image, uint8 [1, C, H, W].
            device: Where the model is.
        """
        if self._complete:
            return self._values[None].to(device)
        assert isinstance(self._model, SupportsRecognition)
        size: tuple[int, int] = self._model.image_shape[1:]
        seen = self._model.recognise(from_uint8(resize_uint8(image, size).to(device))).cpu()
        return torch.where(self._given, self._values, seen.float()).to(device)


def _read(word: str, names: Sequence[str], groups: Sequence[Sequence[int]]) -> tuple[int, float]:
    """Returns an attribute's place and its value."""
    alone = {group[0] for group in groups if len(group) == 1}
    changeable = {place for group in groups for place in group}
    if word in names and names.index(word) in changeable:
        return names.index(word), 1.0
    name, equals, value = word.partition("=")
    if name in names and names.index(name) in alone and equals:
        if value.lower() not in _ANSWERS:
            raise UserError(f"--target is {word}; {name} can be yes or no")
        return names.index(name), _ANSWERS[value.lower()]
    known = [f"{names[i]}=yes" if i in alone else names[i] for group in groups for i in group]
    raise UserError(
        f"--target is {word}, which is no attribute that the model changes{nearest(word, known) or _all(known)}"
    )


def _called(group: Sequence[int], names: Sequence[str]) -> str:
    return names[group[0]].partition("=")[0] if len(group) > 1 else names[group[0]]


def _example(group: Sequence[int], names: Sequence[str]) -> str:
    return names[group[0]] if len(group) > 1 else f"{names[group[0]]}=yes"


def _all(known: Sequence[str]) -> str:
    return f": {', '.join(known)}" if len(known) <= 30 else ""
