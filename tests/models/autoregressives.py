"""Small autoregressive models of every kind; under torchrun, trains some of them on two processes."""

__all__ = ["MODELS", "batches", "fit", "made"]

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer

from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.binary_pixels import BinaryPixels
from lit_gen.functional.categorical_pixels import CategoricalPixels
from lit_gen.functional.logistic_mixture import LogisticMixturePixels
from lit_gen.models import Autoregressive
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.nn.image_transformer import ImageTransformer
from lit_gen.nn.multi_scale_network import MultiScaleNetwork
from lit_gen.nn.pixel_rnn import PixelRNN
from lit_gen.nn.pixelcnn import PixelCNN
from lit_gen.nn.pixelcnnpp import PixelCNNPP
from lit_gen.nn.row_lstm import RowLSTM
from lit_gen.training.strategy import AdversarialDDPStrategy

CLASSES, BATCH = 3, 8
GREY, COLOUR = (1, 5, 7), (3, 4, 5)
_GATED = partial(GatedPixelCNN, features=6, blocks=2)
_RNN = partial(PixelRNN, features=6, blocks=2)
_TRANSFORMER = partial(ImageTransformer, features=8, heads=2, blocks=2)
_SCALES = partial(MultiScaleNetwork, small=_GATED, large=_GATED, features=4, blocks=1)
# Name → shape, and the model's arguments.
MODELS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "pixelcnn": (GREY, {"network": partial(PixelCNN, features=6, blocks=1)}),
    "pixelcnn, colours": (
        COLOUR,
        {"network": partial(PixelCNN, features=6, blocks=1), "pixels": CategoricalPixels(), "conditional": True},
    ),
    "gated": (GREY, {"network": _GATED, "pixels": BinaryPixels("threshold"), "conditional": True}),
    "gated, colours": (COLOUR, {"network": _GATED, "pixels": CategoricalPixels(8, one_hot=True)}),
    "pixelcnn++": (
        COLOUR,
        {"network": partial(PixelCNNPP, features=4, blocks=1, dropout=0.1), "pixels": LogisticMixturePixels(2)},
    ),
    "pixelcnn++, classes": (
        GREY,
        {
            "network": partial(PixelCNNPP, features=4, blocks=1, resolutions=2, dropout=0.0),
            "pixels": LogisticMixturePixels(2),
            "conditional": True,
        },
    ),
    "row lstm": (GREY, {"network": partial(_RNN, layer=RowLSTM), "pixels": BinaryPixels("threshold")}),
    "diagonal bilstm": (COLOUR, {"network": _RNN, "pixels": CategoricalPixels(8), "conditional": True}),
    "two scales": (COLOUR, {"network": _SCALES, "pixels": CategoricalPixels(8), "conditional": True}),
    "two scales, mixture": (
        (2, 5, 5),
        {
            "network": partial(_SCALES, small=partial(PixelCNNPP, features=4, blocks=1, dropout=0.1)),
            "pixels": LogisticMixturePixels(2),
        },
    ),
    "transformer": (COLOUR, {"network": _TRANSFORMER, "pixels": CategoricalPixels(8), "conditional": True}),
}
# Nothing random is done to these models' images, and steps are no larger for gradients of 0 but for the last digit.
EXACT = ("gated", "gated, colours", "pixelcnn++, classes", "row lstm", "diagonal bilstm", "two scales", "transformer")
SGD = {"optimizer": partial(torch.optim.SGD, lr=0.001)}


def made(name: str, **arguments: Any) -> Autoregressive:
    """Returns a model, always of the same weights."""
    shape, own = MODELS[name]
    torch.manual_seed(0)
    return Autoregressive(shape, CLASSES, **(own | arguments))


def batches(shape: tuple[int, int, int], rank: int | None = None) -> TensorLoader:
    """Returns a loader of 8-bit images; of one rank of two, the half of each batch."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (6 * BATCH, *shape), generator=generator) / 127.5 - 1
    label = torch.arange(len(image)) % CLASSES
    if rank is None:
        return TensorLoader({"image": image, "label": label}, BATCH)
    own = torch.arange(len(image)).view(-1, BATCH)[:, rank * BATCH // 2 : (rank + 1) * BATCH // 2].flatten()
    return TensorLoader({"image": image[own], "label": label[own]}, BATCH // 2)


def fit(
    name: str, folder: Path, steps: int, model: dict[str, Any] | None = None, rank: int | None = None, **arguments: Any
) -> tuple[Autoregressive, pl.Trainer]:
    """Trains a model for some batches, in the order that they have."""
    ckpt_path = arguments.pop("ckpt_path", None)
    found, trainer = made(name, **(model or {})), quiet_trainer(folder, steps, **arguments)
    trainer.fit(found, batches(MODELS[name][0], rank), ckpt_path=ckpt_path, weights_only=True)
    return found, trainer


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    ends = {}
    for name in EXACT:
        strategy = AdversarialDDPStrategy(process_group_backend="gloo")
        own = {"devices": 2, "strategy": strategy, "use_distributed_sampler": False}
        ends[name] = fit(name, folder, 3, SGD, rank=rank, **own)[0].state_dict()
    torch.save(ends, folder / f"rank{rank}.pt")
