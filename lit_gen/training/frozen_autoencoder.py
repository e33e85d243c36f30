"""The trained model that another is built over, from its checkpoint: held as it is, and by the other's checkpoints."""

__all__ = ["frozen_autoencoder"]

import copy
from collections.abc import Sequence
from typing import Any

from pytorch_lightning import LightningModule

from lit_gen.contracts import Shape
from lit_gen.errors import UserError
from lit_gen.training.loading import load_model, read_checkpoint
from lit_gen.training.module import GenerativeModule


def frozen_autoencoder(
    model: GenerativeModule,
    image_shape: Shape,
    key: str,
    checkpoint: str | None,
    autoencoder: LightningModule | None,
    trust: Sequence[str],
    contracts: tuple[type, ...],
    wanted: str,
) -> LightningModule:
    """Returns the model that another is built over, which training leaves as it is.

    Checkpoints of the other hold its weights, as of any module, and how it is built, under ``autoencoder``: the file
    that it was read from is needed no more.

    Arguments:
        model: The other model, whose constructor takes ``key``, ``autoencoder`` and ``trust``.
        image_shape: The shape of the images that it must be of.
        key: The argument that names the checkpoint, such as ``codes_of``.
        checkpoint: The file, if one is named.
        autoencoder: The model itself, if one is given in its place.
        trust: Packages beside lit_gen and torch whose classes the checkpoint may name.
        contracts: What it must be able to do, any of them.
        wanted: That in a few words, after "turns".

    Raises:
        UserError: If neither is given, the file cannot be read, or what it holds does not fit.
    """
    settings: Any = None
    if autoencoder is None:
        if checkpoint is None:
            raise UserError(
                f"model.{key} is missing: give a checkpoint of a model that turns {wanted}, such as a VQVAE's"
            )
        content = read_checkpoint(checkpoint)
        autoencoder, settings = load_model(content, trust=trust), content["hyper_parameters"]
    elif "class_path" not in (model.hparams.get("autoencoder") or ()):  # built in Python
        settings = autoencoder.hparams
    if settings is not None:
        known = {name: copy.deepcopy(value) for name, value in settings.items() if not name.startswith("_")}
        described = {"class_path": settings["_class_path"], "init_args": known}
        model.record_instead([key, "trust"], {"autoencoder": described})
    source = "model.autoencoder" if checkpoint is None else f"model.{key} '{checkpoint}'"
    if not isinstance(autoencoder, contracts):
        raise UserError(f"{source} is a {type(autoencoder).__name__}, which does not turn {wanted}")
    shape: Any = autoencoder.image_shape
    if tuple(shape) != tuple(image_shape):
        raise UserError(f"{source} is of images of shape {list(shape)}, and those of the data have {list(image_shape)}")
    # In training mode like the rest, of which Lightning would warn otherwise; `evaluating` where it is used.
    return autoencoder.requires_grad_(False).train()
