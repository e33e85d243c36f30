"""Weights of feature extractors: read without running code, and told apart by their hash."""

__all__ = ["load_weights", "weights_hash"]

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lit_gen.errors import UserError


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads a state_dict from a file, tensors only.

    Raises:
        UserError: If the file is absent, unreadable or something else than a state_dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, and some of their messages fill a page
        raise UserError(f"{path} is damaged or not a file of weights ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} does not hold a state_dict: a dict of tensors by name")
    return state


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of a state_dict's names, types, shapes and values; the file format does not matter."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
