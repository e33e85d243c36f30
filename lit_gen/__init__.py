"""Deep generative models on one PyTorch Lightning frame."""

__all__ = ["__version__", "load"]

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lit_gen.training.loading import load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports `load` on first use, so that ``lit-gen --help`` need not import torch."""
    if name == "load":
        from lit_gen.training.loading import load

        return load
    raise AttributeError(f"module 'lit_gen' has no attribute '{name}'")
