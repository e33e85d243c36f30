"""A model whose images come from latents, and images of latents that are chosen."""

__all__ = ["LatentModel"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.commands.checkpointed import choose_device
from lit_gen.commands.sample import class_labels
from lit_gen.contracts import SupportsGenerate, SupportsLatents
from lit_gen.errors import UserError
from lit_gen.functional.quantize import to_uint8
from lit_gen.training.loading import load_model
from lit_gen.training.seeding import derive_seed, generators

_BATCH_SIZE = 64


@dataclass(frozen=True)
class LatentModel:
    """A trained model, with the one class that it draws if it is conditional.

    Attributes:
        module: The model, in evaluation mode.
        seed: The seed of its latents.
        label: The class that is drawn, None for an unconditional model.
    """

    module: LightningModule
    seed: int
    label: int | None = None

    @classmethod
    def load(cls, checkpoint: Mapping[str, Any], options: Namespace) -> "LatentModel":
        """Builds the model of a checkpoint with the options ``device``, ``weights``, ``trust``, ``seed``, ``label``.

        Raises:
            UserError: If it cannot be built, has no latents to choose, or lacks the class.
        """
        device = choose_device(options.device)
        model = load_model(checkpoint, options.weights, options.trust)
        if not isinstance(model, SupportsGenerate):
            raise UserError(
                f"{type(model).__name__} of '{checkpoint['path']}' has no latents that could be chosen: this diagnosis "
                "needs a model that generates images from them"
            )
        classes, named = getattr(model, "num_classes", None), options.get("label")
        labels = class_labels([named] if named else [], classes, checkpoint, options.trust)
        return cls(model.to(device), options.seed, labels[0] if labels else None)

    def of_class(self, label: Tensor | None, index: int) -> "LatentModel":
        """Returns the model that draws the class of one of the images with these labels; itself if unconditional."""
        return self if self.label is None or label is None else replace(self, label=int(label[index]))

    def latents(self, indices: Sequence[int]) -> Tensor:
        """Returns the latents of images by their numbers, [N, D]: those of ``lit-gen sample`` with the same seed.

        Raises:
            UserError: If the model knows no distribution that latents could be drawn from.
        """
        model = self.module
        if not isinstance(model, SupportsLatents):
            raise UserError(
                f"{type(model).__name__} has no distribution that latents could be drawn from: it can only start from "
                "real images"
            )
        return torch.cat([model.latents(1, generators(self.seed, [index])) for index in indices])

    @torch.no_grad()
    def images(self, z: Tensor) -> Tensor:
        """Returns the images of latents [N, D], uint8 [N, C, H, W] on the CPU; of more than 3 channels the first three.

        Raises:
            UserError: If they hold NaN.
        """
        parts = []
        for part in z.to(self.module.device).split(_BATCH_SIZE):
            torch.manual_seed(derive_seed(self.seed, "batch"))  # of networks with noise of their own: always the same
            label = None if self.label is None else torch.full((len(part),), self.label, device=part.device)
            try:
                parts.append(to_uint8(self._model.generate(part, label)).cpu())
            except ValueError as error:
                if isinstance(error, UserError):
                    raise
                raise UserError(f"the model's samples hold NaN: its training has diverged ({error})") from error
        return torch.cat(parts)

    @property
    def _model(self) -> SupportsGenerate:
        assert isinstance(self.module, SupportsGenerate)
        return self.module
