"""Pairs of noise and of what a trained model makes of it."""

__all__ = ["NoisePairs", "draw_pairs"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor

from lit_gen.contracts import Shape, SupportsLatents, SupportsTrajectory
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing
from lit_gen.functional.noise import randint
from lit_gen.training.seeding import generators


@dataclass(frozen=True)
class NoisePairs:
    """Pairs, and the labels that they were made for.

    Arguments:
        noise: Noise, float32 [N, C, H, W].
        image: What the model made of it, float32 [N, C, H, W].
        label: Labels, int64 [N], None if the model takes none.
    """

    noise: Tensor
    image: Tensor
    label: Tensor | None = None

    def rows(self, which: Tensor | slice) -> "NoisePairs":
        """Returns some of the pairs."""
        return NoisePairs(self.noise[which], self.image[which], None if self.label is None else self.label[which])

    def to(self, device: torch.device) -> "NoisePairs":
        """Moves them to a device."""
        label = None if self.label is None else self.label.to(device)
        return NoisePairs(self.noise.to(device), self.image.to(device), label)

    def write(self, path: Path) -> None:
        """Writes them to a ``.npz``, whole or not at all."""
        arrays: dict[str, Any] = {"noise": self.noise.numpy(force=True), "image": self.image.numpy(force=True)}
        if self.label is not None:
            arrays["label"] = self.label.numpy(force=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            numpy.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> "NoisePairs":
        """Reads what `write` wrote.

        Raises:
            UserError: If the file is damaged, or another one.
        """
        try:
            with numpy.load(path) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
            return cls(**arrays)
        except Exception as error:  # garbage can make the reader stumble in any way
            raise UserError(
                f"'{path}' cannot be read as pairs of noise and images: delete it to draw them again"
            ) from error


class Teacher(SupportsLatents, SupportsTrajectory, Protocol):
    """A model that shows what becomes of latents."""

    image_shape: Shape


@torch.no_grad()
def draw_pairs(
    teacher: Teacher, numbers: Tensor, batch_size: int, seed: int, num_classes: int | None, device: torch.device
) -> NoisePairs:
    """Draws noise, and what a model makes of it; pair i depends on the seed and on i alone.

    Arguments:
        teacher: The model, on the device.
        numbers: Which pairs, int64 [N].
        batch_size: The pairs drawn at once.
        seed: The seed of the whole set.
        num_classes: The number of classes to draw labels from, uniformly; None for none.
        device: Where the model is.
    """
    batches = []
    for part in numbers.split(batch_size):
        sources = generators(seed, part.tolist())
        z = teacher.latents(len(part), sources)
        label = None if num_classes is None else randint(num_classes, len(part), sources, device)
        ends = teacher.trajectory(z, label)[-1]
        shape = (len(part), *teacher.image_shape)
        batches.append(NoisePairs(z.view(shape).float().cpu(), ends.view(shape).float().cpu(), label))
    labels = [batch.label.cpu() for batch in batches if batch.label is not None]
    return NoisePairs(
        torch.cat([batch.noise for batch in batches]),
        torch.cat([batch.image for batch in batches]),
        torch.cat(labels) if labels else None,
    )
