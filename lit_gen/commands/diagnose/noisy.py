"""Models that learn from noisy images, and noisy images as pictures."""

__all__ = ["check_points", "load_noisy", "observed", "picture"]

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.commands.checkpointed import choose_device
from lit_gen.commands.diagnose.encoded import RealImages, labels_for
from lit_gen.contracts import PointData
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.functional.worlds import World
from lit_gen.training.loading import load_model

_BATCH_SIZE = 64


def load_noisy(checkpoint: Mapping[str, Any], options: Namespace, contract: type, what: str) -> LightningModule:
    """Builds the model of a checkpoint with the options ``device``, ``weights`` and ``trust``.

    Arguments:
        checkpoint: The checkpoint.
        options: The options.
        contract: What the model must be able to do.
        what: The same in words, after "a model that".

    Raises:
        UserError: If it cannot be built, or cannot do that.
    """
    device = choose_device(options.device)
    model = load_model(checkpoint, options.weights, options.trust)
    if not isinstance(model, contract):
        raise UserError(
            f"{type(model).__name__} of '{checkpoint['path']}' cannot be asked: this diagnosis needs a model that "
            f"{what}"
        )
    return model.to(device)


def check_points(model: LightningModule, data: Any, instead: str) -> World:
    """Looks whether model and data are of points, and returns their world.

    Raises:
        UserError: If they are pictures; tells what to do instead.
    """
    if not isinstance(data, PointData) or tuple(getattr(model, "image_shape", ()))[1:] != (1, 1):
        raise UserError(f"this diagnosis shows points of toy worlds, and the model draws pictures: {instead}")
    return cast(World, data.world)


@torch.no_grad()
def observed(model: Any, real: RealImages) -> tuple[Tensor, Tensor | None]:
    """Returns what a model makes noisy of images, x [N, D, h, w], and their labels [N] if it is conditional.

    Raises:
        UserError: If it needs labels that the images have not.
    """
    label, parts = labels_for(model, real), []
    for part in torch.arange(len(real.image)).split(_BATCH_SIZE):
        image = real.image[part].to(model.device)
        batch = {"image": from_uint8(image) if image.dtype == torch.uint8 else image.float()}  # points are numbers
        parts.append(model.observed(batch if label is None else batch | {"label": label[part].to(model.device)})[0])
    return torch.cat(parts), None if label is None else label.to(model.device)


@torch.no_grad()
def picture(model: Any, x_t: Tensor, alpha: float = 1.0, sigma: float = 0.0) -> Tensor:
    """Returns noisy x_t [N, D, h, w] as images, uint8 on the CPU, scaled so that pure noise has variance 1.

    Where schedules preserve variance, and where there is no noise, x_t is shown as it is.

    Raises:
        UserError: If the images hold NaN.
    """
    try:
        return to_uint8(model.shown(x_t / math.hypot(alpha, sigma))).cpu()
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the model's images hold NaN: its training has diverged ({error})") from error
