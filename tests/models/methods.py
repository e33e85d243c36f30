"""Every adversarial method with a configuration, shrunk to what trains in a moment; under torchrun, trains them all."""

__all__ = ["METHODS", "SHAPES", "batches", "fit", "small_networks", "tiny"]

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import ArgumentParser
from quiet_trainer import quiet_trainer

import lit_gen.configs
from lit_gen.commands.classes import import_all
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.strategy import AdversarialDDPStrategy

NUM_CLASSES, BATCH = 3, 4
# Settings that make a network small, whatever it is; each takes those that it has.
SMALL = {
    "features": 4,
    "hidden_features": 4,
    "max_features": 8,
    "width": 8,
    "depth": 2,
    "latent_width": 8,
    "blocks": 1,
    "mapping_layers": 2,
    "steps": 1,
    "couplings": 2,
}
IMAGE, POINT = (1, 9, 13), (2, 1, 1)


def _read() -> dict[str, dict[str, Any]]:
    """Returns the first configuration of each method: what differs by data set is no other method."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(lit_gen.configs.__file__).parent.glob("gan/*.yaml")):
        config = yaml.safe_load(path.read_text("utf-8"))
        key = yaml.safe_dump([_without_sizes(config["model"]), config["data"]["class_path"] == "Points2D"])
        if key not in {known["key"] for known in found.values()}:
            found[path.stem] = {**config, "key": key}
    return found


def _without_sizes(settings: Any) -> Any:
    if isinstance(settings, dict):
        kept = {key: _without_sizes(value) for key, value in settings.items() if key not in (*SMALL, "latent_dim")}
        return {key: value for key, value in kept.items() if value != {}}
    return settings


METHODS = _read()
SHAPES = {name: POINT if config["data"]["class_path"] == "Points2D" else IMAGE for name, config in METHODS.items()}


def small_networks(model: dict[str, Any]) -> dict[str, Any]:
    """Returns the networks of a configuration's model, as settings, made small."""
    import_all()
    networks = {}
    method = next(o for o in _subclasses(torch.nn.Module) if o.__name__ == model["class_path"].rpartition(".")[2])
    for role in ("generator", "discriminator", "mapping", "encoder", "decoder", "flow", "dequantisation", "network"):
        parameter = inspect.signature(method.__init__).parameters.get(role)
        default = None if parameter is None else parameter.default
        given = model.get("init_args", {}).get(role, getattr(default, "__name__", None))
        if given is None:
            continue
        networks[role] = _shrunk({"class_path": given} if isinstance(given, str) else given)
    return networks


def _shrunk(given: dict[str, Any]) -> dict[str, Any]:
    """Returns a network's settings made small, those of networks that it is made of too."""
    owner = next(o for o in _subclasses(torch.nn.Module) if o.__name__ == given["class_path"].rpartition(".")[2])
    accepted = inspect.signature(owner.__init__).parameters
    own = {
        key: _shrunk(value) if isinstance(value, dict) and "class_path" in value else value
        for key, value in given.get("init_args", {}).items()
    }
    small = {key: value for key, value in SMALL.items() if key in accepted}
    return {"class_path": given["class_path"], "init_args": {**own, **small}}


def tiny(name: str) -> AdversarialModule:
    """Builds a method's model with small networks, always from the same weights."""
    model = METHODS[name]["model"]
    own = {"image_shape": list(SHAPES[name]), "num_classes": NUM_CLASSES, "latent_dim": 6}
    init = {**model.get("init_args", {}), **small_networks(model), **own}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningModule, "it", fail_untyped=False, required=True)
    torch.manual_seed(0)
    return parser.instantiate(parser.parse_object({"it": {"class_path": model["class_path"], "init_args": init}})).it


def _subclasses(owner: type) -> Iterator[type]:
    for child in owner.__subclasses__():
        if child.__module__.startswith("lit_gen."):
            yield child
        yield from _subclasses(child)


def batches(name: str, rank: int = 0) -> TensorLoader:
    """Returns a loader of this process's own images."""
    generator = torch.Generator().manual_seed(rank)
    image = torch.rand((8 * BATCH, *SHAPES[name]), generator=generator) * 2 - 1
    return TensorLoader({"image": image, "label": torch.arange(len(image)) % NUM_CLASSES}, BATCH)


def fit(name: str, folder: Path, steps: int, rank: int = 0, **arguments: Any) -> tuple[AdversarialModule, pl.Trainer]:
    """Trains a method's tiny model for some batches."""
    ckpt_path = arguments.pop("ckpt_path", None)
    model, trainer = tiny(name), quiet_trainer(folder, steps, **arguments)
    trainer.fit(model, batches(name, rank), ckpt_path=ckpt_path, weights_only=True)
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
