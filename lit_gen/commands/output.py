"""Places that results are written to: looked at before the work begins, filled only when it is done."""

__all__ = ["check_output", "fill", "numbered", "replacing_folder"]

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lit_gen.errors import UserError

_NUMBERED = re.compile(r"\d{6,}\.png")


def numbered(index: int) -> str:
    """Returns the name of image `index` in a folder of images."""
    return f"{index:06d}.png"


def check_output(path: Path, folder: bool, overwrite: bool = False) -> None:
    """Looks whether a file or folder can be written, and leaves no trace.

    Arguments:
        path: The file or folder; the folders above it may be missing.
        folder: Whether it is to be a folder.
        overwrite: Whether a folder of images may be replaced; a file always may.

    Raises:
        UserError: If it cannot be written.
    """
    if folder and path.is_file():
        raise UserError(f"{path} is a file; name a folder, or a file that ends in .png or .npz")
    if not folder and path.is_dir():
        raise UserError(f"{path} is a folder; name a file")
    if folder and path.is_dir() and not overwrite and any(path.iterdir()):
        raise UserError(f"the folder {path} is not empty; choose another, or replace its images by --overwrite")
    parent = path.absolute() if folder else path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error} ({parent})") from error


@contextlib.contextmanager
def replacing_folder(path: Path, clear: bool = True) -> Iterator[Path]:
    """Yields a temporary folder, whose files take their places in `path` if the block ends well.

    Arguments:
        path: The folder.
        clear: Whether all numbered images that were in it go. Nothing else in it is ever touched, but for files of the
            same names as the new ones.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        fill(path, temporary, clear)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def fill(path: Path, temporary: Path, clear: bool = True) -> None:
    """Moves what is in a temporary folder beside `path`, subfolders too, into `path`; see `replacing_folder`."""
    path.mkdir(exist_ok=True)
    for old in path.iterdir() if clear else ():
        if _NUMBERED.fullmatch(old.name):
            old.unlink()
    for new in sorted(temporary.rglob("*")):
        place = path / new.relative_to(temporary)
        if new.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(new, place)
