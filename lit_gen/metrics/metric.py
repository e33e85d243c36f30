"""What takes in batches and keeps what it needs of them until a score is computed."""

__all__ = ["Metric"]

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self


class Metric(ABC):
    """Keeps states: tensors that are added to, and lists of tensors.

    It is torchmetrics' idea with no more than is needed here, and no module: nothing of it goes into checkpoints. That
    library imports torchvision, scipy.signal and matplotlib, a quarter of the memory of a whole evaluation.

    States are this process's own. What is made of those of all processes is gathered where it is computed
    (`lit_gen.metrics.distributed.gathered`), so that more batches may follow, and every process must compute.
    """

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self._defaults: dict[str, Tensor | None] = {}

    @abstractmethod
    def compute(self) -> Any:
        """Returns what comes of all that was taken in by all processes, the same on every process."""

    def add_state(self, name: str, default: Tensor | None = None) -> None:
        """Registers a state as an attribute.

        Arguments:
            name: The attribute.
            default: The tensor that it is at first; an empty list by default.
        """
        self._defaults[name] = default
        setattr(self, name, [] if default is None else default.clone())

    def reset(self) -> None:
        """Forgets all that was taken in."""
        for name, default in self._defaults.items():
            setattr(self, name, [] if default is None else default.to(self.device, copy=True))

    def to(self, device: torch.device | str) -> Self:
        """Moves the states to a device."""
        self.device = torch.device(device)
        for name in self._defaults:
            state = getattr(self, name)
            moved = state.to(device) if isinstance(state, Tensor) else [part.to(device) for part in state]
            setattr(self, name, moved)
        return self
