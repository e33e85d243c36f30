"""Which files belong together."""

__all__ = ["measured", "paired", "same_size", "split_folders"]

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from lit_gen.datamodules.folder_scan import scan
from lit_gen.errors import UserError

_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)


def paired(folders: Mapping[str, Path]) -> tuple[list[tuple[Path, ...]], list[str]]:
    """Matches the images of several folders by their names, whatever follows the last dot, and their subfolders.

    Arguments:
        folders: The folders by what they hold, for messages; all are to have the same names.

    Returns:
        The files of each name, in the order of the folders, and what is wrong: a line for each file without a partner.

    Raises:
        UserError: If one of the folders is absent or has no images.
    """
    named, problems = list[dict[str, Path]](), list[str]()
    for folder in folders.values():
        files: dict[str, Path] = {}
        for path in scan(folder, labelled=False).paths:
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in files:
                problems.append(f"{path} has the same name as {files[name].name}")
            files[name] = path
        named.append(files)
    for name in sorted(set().union(*named)):
        for files, folder in zip(named, folders.values(), strict=True):
            if name not in files:
                there = next(other[name] for other in named if name in other)
                problems.append(f"{there} has no partner in {folder}")
    common = sorted(set(named[0]).intersection(*named[1:]))
    return [tuple(files[name] for files in named) for name in common], problems


def same_size(*paths: Path) -> str | None:
    """Says if files that belong together have unlike sizes, from their heads alone."""
    sizes = [measured(path) for path in paths]
    for path, size in zip(paths[1:], sizes[1:], strict=True):
        if size is not None and sizes[0] is not None and size != sizes[0]:
            (w, h), (u, v) = sizes[0], size
            return f"{paths[0]} is {w}×{h} pixels (across × down), but its partner {path} is {u}×{v}"
    return None


def measured(path: Path) -> tuple[int, int] | None:
    """Returns an image's width and height when upright, None if it cannot be read."""
    try:
        with Image.open(path) as file:
            width, height = file.size
            return (height, width) if file.getexif().get(_ORIENTATION) in _SIDEWAYS else (width, height)
    except Exception:  # decoders raise nearly anything; what it is, decoding tells
        return None


def split_folders(*folders: Path) -> dict[str, tuple[Path, ...]]:
    """Returns the subfolders ``train``, ``val`` and ``test`` of several folders, or the folders as ``train``.

    Raises:
        UserError: If only some of the folders have such a subfolder.
    """
    splits: dict[str, tuple[Path, ...]] = {}
    for split in ("train", "val", "test"):
        have = [(folder / split).is_dir() for folder in folders]
        if all(have):
            splits[split] = tuple(folder / split for folder in folders)
        elif any(have):
            raise UserError(
                f"{folders[have.index(True)]} has a subfolder {split}, and {folders[have.index(False)]} has not"
            )
        elif split == "train":
            return {"train": folders}
    return splits
