"""A folder of computed things, found again by the hash of everything they depend on."""

__all__ = ["Cache", "cache_folder", "code_files", "code_hash", "content_hash"]

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def cache_folder() -> Path:
    """Returns the folder named by ``LIT_GEN_CACHE``, or ``~/.cache/lit_gen``."""
    named = os.environ.get("LIT_GEN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "lit_gen"


def content_hash(value: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a mapping of plain values, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@functools.cache
def code_hash() -> str:
    """Returns the SHA-256 of the source of this package, and of the functions that it computes with.

    What other code computed may be of another form or value.
    """
    return content_hash(code_files(Path(__file__).parents[1]))


def code_files(package: Path) -> dict[str, str]:
    """Returns the source of ``metrics`` and of all in ``functional`` that it imports, directly or not, by path.

    Arguments:
        package: The folder that both lie in.
    """
    pending = sorted((package / "metrics").rglob("*.py"))
    sources: dict[str, str] = {}
    while pending:
        path = pending.pop()
        name = path.relative_to(package).as_posix()
        if name not in sources:
            sources[name] = path.read_text("utf-8")
            imported = re.findall(r"^\s*from lit_gen\.functional\.(\w+) import", sources[name], re.MULTILINE)
            pending += [package / "functional" / f"{module}.py" for module in imported]
    return sources


class Cache:
    """Creates a cache of dicts of tensors and plain values.

    An entry is written under another name and moved into place, so that several processes may share the folder and none
    sees half an entry. An entry carries its own checksum: a damaged one counts as absent. A folder that cannot be
    written costs time and a warning, not the run.

    Arguments:
        folder: The folder; `cache_folder()` by default. It is made when the first entry is written.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder).expanduser() if folder is not None else cache_folder()

    def path(self, kind: str, key: Mapping[str, Any]) -> Path:
        """Returns the file of an entry.

        Arguments:
            kind: The entry's subfolder, such as ``"classifier"``.
            key: Everything the entry depends on, as plain values.
        """
        return self.folder / kind / f"{content_hash(key)}.pt"

    def get(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns an entry, with tensors on the CPU, or None if there is none that is whole."""
        try:
            stored = self.path(kind, key).read_bytes()
        except OSError:
            return None
        checksum, content = stored[:32], stored[32:]
        if hashlib.sha256(content).digest() != checksum:
            return None
        try:
            entry = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception:  # whole, but of a format that this version of torch does not read
            return None
        return entry if isinstance(entry, dict) else None

    def put(self, kind: str, key: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        """Writes an entry, or warns that it cannot."""
        path = self.path(kind, key)
        buffer = io.BytesIO()
        torch.save(dict(entry), buffer)
        content = buffer.getvalue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        except OSError as error:
            self._warn(error)
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except OSError as error:
            self._warn(error)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)

    def _warn(self, error: OSError) -> None:
        warnings.warn(
            f"the cache folder {self.folder} cannot be written ({error.strerror or error}), so this will be computed "
            "anew next time; set LIT_GEN_CACHE to a folder that can",
            stacklevel=3,
        )
