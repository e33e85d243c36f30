"""Models that learn from noisy images, and noisy images as pictures."""

__all__ = ["check_points", "load_noisy", "picture"]

from collections.abc import Mapping
from typing import Any, cast

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.commands.checkpointed import choose_device
from lit_gen.contracts import PointData
from lit_gen.errors import UserError
from lit_gen.functional.quantize import to_uint8
from lit_gen.functional.worlds import World
from lit_gen.training.loading import load_model


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


def picture(x_t: Tensor, alpha: float | Tensor = 1.0, sigma: float | Tensor = 0.0) -> Tensor:
    """Returns noisy images [N, C, H, W] at their levels as uint8 on the CPU, scaled so that pure noise has variance 1.

    Where schedules preserve variance, and where there is no noise, the images are as they are.

    Raises:
        UserError: If they hold NaN.
    """
    scale = torch.as_tensor(alpha**2 + sigma**2).rsqrt().to(x_t)
    try:
        return to_uint8(x_t * scale).cpu()
    except ValueError as error:
        raise UserError(f"the model's images hold NaN: its training has diverged ({error})") from error
