"""The classes that short names in configurations may mean."""

__all__ = ["class_names", "import_all", "resolve_class"]

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

_BASES = {
    "model": ("pytorch_lightning.LightningModule",),
    "data": ("pytorch_lightning.LightningDataModule",),
    "extractor": ("lit_gen.metrics.extractors.extractor.Extractor",),
    "sampler": ("lit_gen.functional.sampler.Sampler",),
}
_ARGUMENTS = {
    "loss": ("lit_gen.functional.adversarial.AdversarialLoss",),
    "regularizers": ("lit_gen.functional.regularizer.Regularizer",),
    "augmentation": ("lit_gen.functional.augmentation.Augmentation",),
    "auxiliary": ("lit_gen.functional.auxiliary.Auxiliary",),
    "likelihood": ("lit_gen.functional.likelihood.Likelihood",),
    "network": ("lit_gen.nn.causal_network.CausalNetwork",),
    "small": ("lit_gen.nn.causal_network.CausalNetwork",),
    "large": ("lit_gen.nn.context_network.ContextNetwork",),
    "pixels": ("lit_gen.functional.pixels.PixelDistribution",),
    "world": ("lit_gen.functional.worlds.World",),
    "flow": ("lit_gen.nn.flow_network.FlowNetwork",),
    "dequantisation": ("lit_gen.nn.dequantisation.Dequantisation",),
    "preprocessing": ("lit_gen.functional.preprocessing.Preprocessing",),
    "base": ("lit_gen.functional.base_distributions.BaseDistribution",),
    "noise_schedule": ("lit_gen.functional.noise_schedule.NoiseSchedule",),
    "parameterisation": ("lit_gen.functional.parameterisation.Parameterisation",),
    "weighting": ("lit_gen.functional.diffusion_weighting.DiffusionWeighting",),
    "time_distribution": ("lit_gen.functional.time_distribution.TimeDistribution",),
    "sampler": _BASES["sampler"],
    "grid": ("lit_gen.functional.time_grid.TimeGrid",),
    "extractor": _BASES["extractor"],
}
_PACKAGES = (
    "lit_gen.models",
    "lit_gen.nn",
    "lit_gen.functional",
    "lit_gen.training",
    "lit_gen.datamodules",
    "lit_gen.callbacks",
    "lit_gen.metrics.extractors",
)
_NESTED = (
    "torch.nn.Module",
    "torch.optim.Optimizer",
    "torch.optim.lr_scheduler.LRScheduler",
    "pytorch_lightning.Callback",
    "pytorch_lightning.loggers.Logger",
    "lit_gen.functional.adversarial.AdversarialLoss",
    "lit_gen.functional.likelihood.Likelihood",
    "lit_gen.functional.pixels.PixelDistribution",
    "lit_gen.functional.worlds.World",
)
_MEANT = ("lit_gen.", "torch.optim.", "pytorch_lightning.callbacks.", "pytorch_lightning.loggers.")
_LIBRARIES = ("torch", "torchvision", "torchmetrics", "torch_fidelity", "pytorch_lightning", "lightning_fabric")


def import_all() -> None:
    """Imports everything that configurations name by short names: jsonargparse finds what has been imported."""
    for name in ("torch.optim", "torch.optim.lr_scheduler", "pytorch_lightning.callbacks", "pytorch_lightning.loggers"):
        importlib.import_module(name)
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__, f"{name}."):
            importlib.import_module(module.name)


def class_names(keys: Sequence[str]) -> list[str]:
    """Lists the short names that would be right at a key.

    Arguments:
        keys: The key's parts, such as ``("model", "generator")``.
    """
    bases = _BASES.get(keys[0], _NESTED) if len(keys) == 1 else _ARGUMENTS.get(keys[-1], _NESTED)
    names = set()
    for base in bases:
        todo = [resolve_class(base)]
        while todo:
            owner = todo.pop()
            todo += owner.__subclasses__() if owner is not None else []
            if owner is not None and owner is not resolve_class(base) and _is_usable(owner):
                names.add(owner.__name__)
    return sorted(names)


def _is_usable(owner: type) -> bool:
    """Whether somebody may have meant this class: none of the hundreds of layers that libraries have."""
    if owner.__name__.startswith("_") or getattr(owner, "__abstractmethods__", None):
        return False
    module = owner.__module__
    return module.startswith(_MEANT) or module.split(".")[0] not in _LIBRARIES


def resolve_class(path: str | None) -> Any:
    """Returns the class of an import path, None if there is none."""
    module, _, name = (path or "").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        return None
