"""Small flows of every kind; under torchrun, trains one of them on two processes."""

__all__ = ["EXACT", "FLOWS", "IMAGE", "POINT", "batches", "fit", "made"]

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer

from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.base_distributions import StandardLogistic
from lit_gen.functional.preprocessing import Logits
from lit_gen.models import NormalizingFlow
from lit_gen.nn.dense_flows import DenseRealNVP, SplineFlow
from lit_gen.nn.dequantisation import NoDequantisation, VariationalDequantisation
from lit_gen.nn.glow import Glow
from lit_gen.nn.nice import NICE
from lit_gen.nn.realnvp import RealNVP
from lit_gen.training.strategy import AdversarialDDPStrategy

CLASSES, BATCH = 3, 8
IMAGE, ODD, POINT = (3, 8, 4), (1, 5, 7), (2, 1, 1)
SMALL = {"features": 4, "blocks": 1}
# Name → shape, and the model's arguments.
FLOWS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "nice": (ODD, {"flow": partial(NICE, width=8, depth=2), "base": StandardLogistic(), "conditional": True}),
    "realnvp": (IMAGE, {"flow": partial(RealNVP, **SMALL), "preprocessing": Logits()}),
    "realnvp, odd": (ODD, {"flow": partial(RealNVP, **SMALL), "conditional": True}),
    "glow": (IMAGE, {"flow": partial(Glow, steps=2, features=4)}),
    "glow, variational, classes": (
        IMAGE,
        {
            "flow": partial(Glow, steps=2, features=4),
            "dequantisation": partial(VariationalDequantisation, couplings=2, **SMALL),
            "conditional": True,
        },
    ),
    "dense realnvp": (POINT, {"flow": partial(DenseRealNVP, width=16), "dequantisation": NoDequantisation}),
    "spline": (POINT, {"flow": partial(SplineFlow, width=16), "dequantisation": NoDequantisation}),
}

# Adam would make steps of full size from gradients that are 0 but for their last digit, as ActNorm's are at its start.
EXACT = {"optimizer": partial(torch.optim.SGD, lr=0.01)}


def made(name: str, **arguments: Any) -> NormalizingFlow:
    """Returns a model, always of the same weights."""
    shape, own = FLOWS[name]
    torch.manual_seed(0)
    return NormalizingFlow(shape, CLASSES, **(own | arguments))


def batches(shape: tuple[int, int, int], rank: int | None = None) -> TensorLoader:
    """Returns a loader of images of 8 bits or of points; of one rank of two, the half of each batch."""
    generator = torch.Generator().manual_seed(0)
    if shape == POINT:
        image = 3 + 2 * torch.randn(6 * BATCH, *shape, generator=generator)
    else:
        image = torch.randint(0, 256, (6 * BATCH, *shape), generator=generator) / 127.5 - 1
    label = torch.arange(len(image)) % CLASSES
    if rank is None:
        return TensorLoader({"image": image, "label": label}, BATCH)
    own = torch.arange(len(image)).view(-1, BATCH)[:, rank * BATCH // 2 : (rank + 1) * BATCH // 2].flatten()
    return TensorLoader({"image": image[own], "label": label[own]}, BATCH // 2)


def fit(
    name: str, folder: Path, steps: int, model: dict[str, Any] | None = None, rank: int | None = None, **arguments: Any
) -> tuple[NormalizingFlow, pl.Trainer]:
    """Trains a model for some batches, in the order that they have."""
    ckpt_path = arguments.pop("ckpt_path", None)
    flow, trainer = made(name, **(model or {})), quiet_trainer(folder, steps, **arguments)
    trainer.fit(flow, batches(FLOWS[name][0], rank), ckpt_path=ckpt_path, weights_only=True)
    return flow, trainer


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    strategy = AdversarialDDPStrategy(process_group_backend="gloo")
    flow, _ = fit(
        "dense realnvp", folder, 3, EXACT, rank=rank, devices=2, strategy=strategy, use_distributed_sampler=False
    )
    torch.save(flow.state_dict(), folder / f"rank{rank}.pt")
