"""What goes through models: batches, their shapes, and the randomness that images are drawn with."""

__all__ = ["Batch", "Generators", "Shape"]

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Batch: TypeAlias = Mapping[str, Tensor]
"""Tensors by name, a row per image. ``image`` is what a model is to make, ``source``, ``label_map``, ``label`` or
``attributes`` what it may make it from; ``wanted`` attributes and ``style`` images say what it is to become."""
Shape: TypeAlias = tuple[int, int, int]
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator]
