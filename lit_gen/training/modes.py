"""Evaluation mode that leaves no trace."""

__all__ = ["evaluating", "noisy_evaluation"]

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


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


@contextlib.contextmanager
def noisy_evaluation(network: nn.Module, dropout: bool, batch_statistics: bool) -> Iterator[None]:
    """Puts a network in evaluation mode but for what is to act as in training, and back when the block ends.

    Arguments:
        network: The network.
        dropout: Whether dropout acts.
        batch_statistics: Whether batch norm takes the statistics of its batch; its running ones stay as they are.
    """
    with evaluating(network):
        norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and batch_statistics]
        tracking = [layer.track_running_stats for layer in norms]
        try:
            for layer in network.modules():
                layer.training |= dropout and isinstance(layer, _DropoutNd)
            for norm in norms:
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            for norm, tracked in zip(norms, tracking, strict=True):
                norm.track_running_stats = tracked
