"""Real images, and the latents that a model finds for them."""

__all__ = [
    "RealImages",
    "check_encodes",
    "encoded",
    "labels_for",
    "load_encoder",
    "real_images",
    "real_starts",
    "some_images",
]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from lit_gen.commands.checkpointed import choose_device
from lit_gen.commands.diagnose.options import check_shape, open_data
from lit_gen.contracts import ImageData, SupportsEncode
from lit_gen.errors import UserError
from lit_gen.functional.quantize import from_uint8
from lit_gen.metrics.split_share import positions
from lit_gen.training.loading import load_model

_BATCH_SIZE = 128


class RealImages(NamedTuple):
    """Images of a split.

    Attributes:
        place: Their places in it, int64 [N].
        image: The images, uint8 [N, C, H, W].
        label: Their classes, int64 [N], or None where they have none.
    """

    place: Tensor
    image: Tensor
    label: Tensor | None


def real_images(data: ImageData, split: str, places: Sequence[int], option: str = "--image") -> RealImages:
    """Returns images of a split by their places, in the order asked for.

    Raises:
        UserError: If there is no such split or image; names the option.
    """
    num = data.num_images(split)
    if not num:
        raise UserError(f"the split {split} of {data.name} is empty")
    for place in places:
        if not 0 <= place < num:
            raise UserError(f"{option} is {place}, but the split {split} of {data.name} has images 0 to {num - 1}")
    wanted, images, labels, start = set(places), dict[int, Tensor](), dict[int, Tensor](), 0
    for batch in data.batches(split, 256):
        here = [place for place in wanted if start <= place < start + len(batch["image"])]
        images.update({place: batch["image"][place - start].cpu() for place in here})
        if "label" in batch:
            labels.update({place: batch["label"][place - start].cpu() for place in here})
        start += len(batch["image"])
    label = torch.stack([labels[place] for place in places]) if labels else None
    return RealImages(torch.tensor(places), torch.stack([images[place] for place in places]), label)


def some_images(data: ImageData, split: str, most: int) -> RealImages:
    """Returns images of a split, all of them, or as many as are asked for, evenly spaced.

    Raises:
        UserError: If there is no such split, or it is empty.
    """
    num = data.num_images(split)
    return real_images(data, split, positions(num, min(most, num)).tolist() if num else [])


def load_encoder(checkpoint: Mapping[str, Any], options: Namespace) -> LightningModule:
    """Builds the model of a checkpoint with the options ``device``, ``weights`` and ``trust``.

    Raises:
        UserError: If it cannot be built, or has no encoder.
    """
    device = choose_device(options.device)
    model = load_model(checkpoint, options.weights, options.trust)
    check_encodes(model)
    return model.to(device)


def check_encodes(model: nn.Module) -> None:
    """Looks whether a model has an encoder.

    Raises:
        UserError: If it has none.
    """
    if not isinstance(model, SupportsEncode):
        raise UserError(
            f"{type(model).__name__} cannot tell the latents of images: this diagnosis needs a model with an encoder, "
            "such as an autoencoder or a flow"
        )


@torch.no_grad()
def encoded(model: LightningModule, images: RealImages) -> Tensor:
    """Returns the latents of images, float32 [N, D] on the CPU.

    Raises:
        UserError: If the model needs labels that the images have not, or the latents are not numbers.
    """
    assert isinstance(model, SupportsEncode)
    device, label = model.device, labels_for(model, images)
    found = []
    for part in torch.arange(len(images.image)).split(_BATCH_SIZE):
        x = images.image[part].to(device)
        x = from_uint8(x) if x.dtype == torch.uint8 else x  # points are numbers already
        found.append(model.encode(x, None if label is None else label[part].to(device)).float().cpu())
    z = torch.cat(found)
    assert z.ndim == 2 and len(z) == len(images.image), "one latent per image"
    if not z.isfinite().all():
        raise UserError("the model's latents hold NaN or infinity: its training has diverged")
    return z


def real_starts(
    parser: ArgumentParser, options: Namespace, model: LightningModule, places: Sequence[int], option: str
) -> tuple[RealImages, Tensor]:
    """Returns the images of the split ``--real`` by their places, and their latents [N, D] on the model's device.

    Raises:
        UserError: If the model has no encoder, or the data have no such images.
    """
    check_encodes(model)
    _, data = open_data(parser, options)
    check_shape(model, data)
    images = real_images(data, options.real, places, option)
    return images, encoded(model, images).to(model.device)


def labels_for(model: nn.Module, images: RealImages) -> Tensor | None:
    """Returns the labels that a model is to be told, None for an unconditional one.

    Raises:
        UserError: If it needs some and the images have none.
    """
    if getattr(model, "num_classes", None) is None:
        return None
    if images.label is None:
        raise UserError(
            f"{type(model).__name__} is conditional, but the images have no labels: give it others by --data"
        )
    return images.label
