"""Hashes that name the content of a split in protocols and cache keys."""

__all__ = ["hash_tensors"]

import hashlib
from collections.abc import Mapping

from torch import Tensor


def hash_tensors(tensors: Mapping[str, Tensor], *settings: object) -> str:
    """Hashes tensors with their names, types and shapes, and the settings that made them; 32 hexadecimal digits."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:32]
