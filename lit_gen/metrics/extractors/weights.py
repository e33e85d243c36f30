"""Weights of feature extractors: read without running code, and told apart by their hash."""

__all__ = ["check_file", "load_weights", "weights_hash"]

import hashlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lit_gen.errors import UserError


def check_file(path: str | Path, sha256: str) -> None:
    """Compares a file with its hash.

    Arguments:
        path: The file.
        sha256: The SHA-256 of its content in hexadecimal digits, all 64 or the first 8 or more.

    Raises:
        UserError: If the file is absent or another, or the hash is none.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise UserError(f"weights_sha256 is {sha256!r}, but must be 8 to 64 hexadecimal digits")
    with _existing(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256.lower()):
        raise UserError(f"{path} is damaged or another file: its SHA-256 is {found}, not {sha256.lower()}")


def load_weights(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Reads a state_dict from a file, tensors only.

    A TorchScript file is a program that holds weights. It is opened only if its whole hash is known beforehand: then it
    is what somebody published, or what the user vouches for.

    Arguments:
        path: The file.
        sha256: The SHA-256 that its content must have, as in `check_file`; unchecked by default.

    Raises:
        UserError: If the file is absent, unreadable, another than expected, or something else than a state_dict.
    """
    path = _existing(path)
    if sha256 is not None:
        check_file(path, sha256)
    if _is_torchscript(path):
        if sha256 is None or len(sha256) < 64:
            raise UserError(
                f"{path} is a TorchScript file, which is code: give its whole SHA-256 by weights_sha256 if you trust "
                "it, or a file with the state_dict alone"
            )
        return _from_torchscript(path)
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


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist")
    return path


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive: `torch.save` writes no ``constants.pkl``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _from_torchscript(path: Path) -> dict[str, Tensor]:
    """Returns the state_dict of a TorchScript file that is trusted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is on its way out
            module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise UserError(f"{path} is damaged or no TorchScript file that this version of torch reads") from error
    return {name: value.detach() for name, value in module.state_dict().items()}
