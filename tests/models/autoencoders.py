"""Every method of configs/vae, shrunk to what trains in a moment; under torchrun, trains them all."""

__all__ = ["METHODS", "NUM_CLASSES", "SHAPE", "fit", "tiny"]

import os
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import ArgumentParser
from methods import NUM_CLASSES, small_networks
from quiet_trainer import quiet_trainer

import lit_gen.configs
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.training.strategy import AdversarialDDPStrategy

SHAPE, BATCH = (1, 13, 17), 4
SMALL = {"latent_dim": 6, "code_dim": 3, "num_codes": 8, "log_prob_samples": 5, "adversarial_start": 1}
METHODS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text("utf-8"))["model"]
    for path in sorted(Path(lit_gen.configs.__file__).parent.glob("vae/*.yaml"))
    if "gaussian_mixture" not in path.stem  # which is no network, and has tests of its own
}


def tiny(name: str, **settings: Any) -> Any:
    """Builds a method's model with small networks, always from the same weights."""
    model = METHODS[name]
    networks = small_networks(model)
    for network in networks.values():  # in networks of 4 channels, all of a layer's ReLUs may be off for all images
        network["init_args"] |= {key: 16 for key in ("features", "max_features") if key in network["init_args"]}
    given = {**model.get("init_args", {}), **networks}
    given |= {key: value for key, value in SMALL.items() if key in given}
    given |= {"image_shape": list(SHAPE), **settings}
    if given.get("conditional"):
        given["num_classes"] = NUM_CLASSES
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningModule, "it", fail_untyped=False, required=True)
    torch.manual_seed(0)
    found = parser.parse_object({"it": {"class_path": model["class_path"], "init_args": given}})
    return parser.instantiate(found).it


def batches(rank: int = 0, size: int = BATCH) -> TensorLoader:
    """Returns a loader of this process's own images."""
    generator = torch.Generator().manual_seed(rank)
    image = torch.rand((8 * BATCH, *SHAPE), generator=generator) * 2 - 1
    return TensorLoader({"image": image, "label": torch.arange(len(image)) % NUM_CLASSES}, size)


def fit(name: str, folder: Path, steps: int, rank: int = 0, **arguments: Any) -> tuple[Any, pl.Trainer]:
    """Trains a method's tiny model for some batches."""
    ckpt_path, settings = arguments.pop("ckpt_path", None), arguments.pop("settings", {})
    model, trainer = tiny(name, **settings), quiet_trainer(folder, steps, **arguments)
    trainer.fit(model, batches(rank), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


def _train_all(folder: Path) -> None:
    ends = {}
    for name in METHODS:
        strategy = AdversarialDDPStrategy(process_group_backend="gloo")
        rank = int(os.environ["RANK"])
        model, _ = fit(name, folder, 3, rank, devices=2, strategy=strategy, use_distributed_sampler=False)
        ends[name] = {key: value.clone() for key, value in model.state_dict().items()}
    torch.save(ends, folder / f"rank{rank}.pt")


if __name__ == "__main__":
    _train_all(Path(sys.argv[1]))
