"""Files that are either whole or not there."""

__all__ = ["naming", "replacing"]

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

_STALE_AFTER = 3600.0
"""Seconds after which a temporary file that nobody writes to is somebody's who died, on whatever machine."""

_TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]*)\.(?P<process>\d+)\.tmp")
_HOST = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to, which takes its place if the block ends well.

    Missing folders are made. A process killed midway leaves the old file, or none, and a temporary file, which is
    removed when anything is written to that folder again.

    Raises:
        OSError: If the file cannot be written; it names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Gives errors of the operating system within the block the name of a file; a full disk tells none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _remove_stale(folder: Path) -> None:
    """Removes the temporary files that processes left which are no more."""
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match:
                with contextlib.suppress(OSError):  # another process may be removing it too
                    here = match["host"] == _HOST
                    if (
                        here and not _runs(int(match["process"]))
                    ) or time.time() - entry.stat().st_mtime > _STALE_AFTER:
                        os.unlink(entry.path)


def _runs(process: int) -> bool:
    if os.name != "posix":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
