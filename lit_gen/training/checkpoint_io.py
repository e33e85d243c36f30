"""Checkpoint files that are whole or not there, whenever the process or the disk gives up."""

__all__ = ["AtomicCheckpointIO"]

import os
from pathlib import Path
from typing import IO, Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Creates checkpoint writing by temporary file, flush to the disk, and rename.

    A kill at any moment, of the process or of the machine, leaves the previous checkpoint of that name whole.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        Raises:
            UserError: If it cannot be written, as when the disk is full; older checkpoints are untouched.
        """
        if storage_options is not None:
            raise TypeError(f"{type(self).__name__} takes no storage options")
        path = Path(path)
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                _save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _flush_folder(path.parent)
        except OSError as error:
            older = "; the one before it is untouched" if path.is_file() else ""
            raise UserError(f"the checkpoint '{path}' cannot be written: {error.strerror}{older}") from error


class _Writer:
    """Passes bytes on to a file, and keeps the error with which that ends.

    torch's archive writer replaces it by an assertion of its own, from which the reason cannot be told.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def _save(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
    writer = _Writer(file)
    try:
        torch.save(checkpoint, writer)  # type: ignore[arg-type]
    except (OSError, RuntimeError):
        if writer.error is None:
            raise
        raise writer.error from None


def _flush_folder(folder: Path) -> None:
    """Makes a rename last a power failure, where folders can be flushed."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
