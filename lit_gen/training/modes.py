"""Evaluation mode that leaves no trace."""

__all__ = ["evaluating"]

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Puts modules in evaluation mode, and every submodule back in its own mode when the block ends.

    A plain `module.train()` would also wake layers that were kept in evaluation mode on purpose.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode
