"""Which images a folder holds, and which classes its subfolders make."""

__all__ = ["SUFFIXES", "Found", "scan"]

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_gen.errors import UserError, nearest

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"})


@dataclass(frozen=True)
class Found:
    """Image files in the order of their paths, each with its class, or without classes."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...] | None

    def take(self, indices: Sequence[int]) -> "Found":
        """Returns some of the files, in the order asked for, with all classes."""
        paths, labels = (tuple(values[i] for i in indices) for values in (self.paths, self.labels))
        return Found(paths, labels, self.classes)  # type: ignore[arg-type]


def scan(folder: Path, labelled: bool | None, classes: tuple[str, ...] | None = None) -> Found:
    """Finds every image in a folder and its subfolders, however deep; hidden files and folders are passed over.

    Arguments:
        folder: The folder.
        labelled: Whether its immediate subfolders are classes; None decides: they are if there are several with images.
        classes: Classes that are given already, such as those of the training images; an image of another is an error.

    Raises:
        UserError: If there is no such folder, no image in it, or images beside class folders.
    """
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise UserError(f"there is no folder {folder}{nearest(folder.name, siblings)}; set --data.folder")
    try:
        paths = tuple(sorted(_images(folder, frozenset())))
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be listed ({error.strerror})") from error
    if not paths:
        kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise UserError(f"there are no images in {folder} (looked for {kinds}); set --data.folder")
    places = [path.relative_to(folder).parts for path in paths]
    found = tuple(sorted({place[0] for place in places if len(place) > 1}))
    if labelled is None:
        labelled = len(found) > 1
    if not labelled:
        return Found(paths, (0,) * len(paths), None)
    for path, place in zip(paths, places, strict=True):
        if len(place) == 1:
            raise UserError(
                f"{path} lies in no class folder, while {folder} is to have one per class: move it into one, or set "
                "--data.labelled false"
            )
    known = found if classes is None else classes
    for name in found:
        if name not in known:
            raise UserError(f"{folder / name} is no class of the training images{nearest(name, known)}")
    number = {name: label for label, name in enumerate(known)}
    return Found(paths, tuple(number[place[0]] for place in places), known)


def _images(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Yields a folder's images, following links, but not back into the folders `above` it."""
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        listed = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in listed:
        if entry.is_dir():
            yield from _images(folder / entry.name, above | {real})
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            yield folder / entry.name
