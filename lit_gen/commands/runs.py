"""Run folders ``<runs>/<config name>/version_<n>/``, and which checkpoint a ``--ckpt_path`` means."""

__all__ = ["MissingCheckpoint", "RunFolder", "find_checkpoint", "run_folder_of"]

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lit_gen.errors import UserError, nearest

_VERSION = re.compile(r"version_(\d+)$")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: Where it lies.
        fresh: Whether this process made it, so that it may take it away again.
        made: The folders above it that were made with it.
    """

    path: Path
    fresh: bool = False
    made: tuple[Path, ...] = ()

    @classmethod
    def claim(cls, runs: Path, name: str) -> "RunFolder":
        """Makes the next version of a name; two processes that start at once never get the same.

        Raises:
            UserError: If the folder cannot be made.
        """
        parent = runs / name
        made = tuple(folder for folder in (runs, parent) if not folder.exists())
        try:
            parent.mkdir(parents=True, exist_ok=True)
            number = max(_versions(parent), default=-1) + 1
            while True:
                path = parent / f"version_{number}"
                try:
                    path.mkdir()
                    return cls(path, True, made)
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise UserError(
                f"no run's folder can be made in {parent}: {error.strerror}; choose another place by --runs"
            ) from error

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints lie."""
        return self.path / "checkpoints"

    def discard(self) -> None:
        """Takes the folder away again, if this process made it: nothing came of the run."""
        if self.fresh:
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in reversed(self.made):
                with contextlib.suppress(OSError):  # another run may have come to lie in it
                    folder.rmdir()


def run_folder_of(checkpoint: Path) -> Path | None:
    """Returns the run's folder that a checkpoint lies in, None if it lies elsewhere."""
    folder = checkpoint.absolute().parent
    if folder.name != "checkpoints" or not _VERSION.match(folder.parent.name):
        return None
    run = folder.parent
    return run.relative_to(Path.cwd()) if run.is_relative_to(Path.cwd()) else run


def find_checkpoint(wanted: str, runs: Path, name: str | None = None) -> Path:
    """Returns the file that a ``--ckpt_path`` means.

    Arguments:
        wanted: ``last`` or ``best`` of the newest run that has it; a run's folder, or one of several versions, for its
            last; or a file.
        runs: The folder that all runs lie in.
        name: The config name to which ``last`` and ``best`` look; by default any, the latest written first.

    Raises:
        UserError: If there is no such checkpoint. `MissingCheckpoint` where ``last`` or ``best`` found nothing.
    """
    if wanted in ("last", "best"):
        return _newest(wanted, runs, name)
    path = Path(wanted).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        tried = [path / "checkpoints" / "last.ckpt", path / "last.ckpt", *_by_version(path, "last")]
        found = next((file for file in tried if file.is_file()), None)
        if found is None:
            raise UserError(f"the folder '{wanted}' is no run's: it has no checkpoints/last.ckpt")
        return found
    beside = list(path.parent.iterdir()) if path.parent.is_dir() else []
    close = nearest(path.stem, [file.stem for file in beside])  # endings are all alike
    hint = nearest(str(path), [str(file) for file in beside]) if close else ""
    raise UserError(f"there is no checkpoint '{wanted}'{hint or '; give last, best, a run folder or a file'}")


class MissingCheckpoint(UserError):
    """No run has a last, or a best, checkpoint yet."""


def _newest(wanted: str, runs: Path, name: str | None) -> Path:
    folders = [runs / name] if name else list(runs.iterdir()) if runs.is_dir() else []
    files = [files[0] for folder in folders if (files := _by_version(folder, wanted))]
    if files:
        return max(files, key=lambda file: file.stat().st_mtime)
    where = runs / (name or "*") / "version_*" / "checkpoints" / f"{wanted}.ckpt"
    other = "best" if wanted == "last" else "last"
    hint = f"; there is a {other}.ckpt" if any(_by_version(folder, other) for folder in folders) else ""
    raise MissingCheckpoint(f"no run has a checkpoint '{wanted}': looked for {where}{hint}")


def _by_version(folder: Path, kind: str) -> list[Path]:
    """Lists the versions' checkpoints of one kind, the newest version first."""
    files = (
        folder / f"version_{number}" / "checkpoints" / f"{kind}.ckpt" for number in sorted(_versions(folder))[::-1]
    )
    return [file for file in files if file.is_file()]


def _versions(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_VERSION.match(path.name) for path in folder.iterdir())
    return [int(match[1]) for match in matches if match]
