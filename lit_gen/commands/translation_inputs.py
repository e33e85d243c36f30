"""The files of a folder as what a translation model makes images from, each at its own size."""

__all__ = ["TranslationInputs", "input_decoder"]

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from lit_gen.commands.given_folder import GivenFolder
from lit_gen.datamodules.decode import colour, decode_whole
from lit_gen.datamodules.image_files import ImageFiles
from lit_gen.datamodules.label_maps import decode_indices, decode_labels
from lit_gen.datamodules.problems import raise_problems
from lit_gen.errors import UserError, nearest

_Decoder = Callable[..., dict[str, Tensor]]


class TranslationInputs:
    """Creates the inputs of a folder and its subfolders, in the order of their paths; hidden files are passed over.

    Arguments:
        folder: The folder.
        decode: Turns a file, or a label map and its instances, into tensors by name without a batch dimension.
        instances: The folder of instance maps, which have the names of the label maps, whatever follows the last dot.

    Raises:
        UserError: If there are no images, two would be written to one file, or instances are missing.
    """

    def __init__(self, folder: Path, decode: _Decoder, instances: Path | None = None) -> None:
        paths = _listed(folder, "--input")
        self.folder = folder
        self.names = [path.relative_to(folder).with_suffix(".png") for path in paths]
        first: dict[Path, Path] = {}
        clashes = [
            f"{path} and {first[name]} would both be written as {name}"
            for path, name in zip(paths, self.names, strict=True)
            if first.setdefault(name, path) != path
        ]
        raise_problems(clashes, folder)
        items: list[tuple[Path, ...]] = [(path,) for path in paths]
        if instances is not None:
            known = {
                path.relative_to(instances).with_suffix(".png"): path for path in _listed(instances, "--instances")
            }
            partners = [(path, known.get(name)) for path, name in zip(paths, self.names, strict=True)]
            absent = [f"{path} has no map of its name in {instances}" for path, partner in partners if partner is None]
            raise_problems(absent, folder)
            items = [(path, partner) for path, partner in partners if partner is not None]
        self._files = ImageFiles(items, decode)

    def __len__(self) -> int:
        """The number of files."""
        return len(self._files)

    def check(self) -> None:
        """Decodes every file once: what is wrong with one is said before anything is computed.

        Raises:
            UserError: If some cannot be used; it names them.
        """
        problems = self._files.problems(range(len(self)))
        raise_problems([str(problem) for problem in problems if problem is not None], self.folder)

    def path(self, index: int) -> Path:
        """The file."""
        return self._files.paths(index)[0]

    def batch(self, index: int) -> dict[str, Tensor]:
        """Reads a file: tensors by name, uint8 or indices, a batch of one."""
        return {name: tensor[None] for name, tensor in self._files.item(index, 0).items()}


def input_decoder(model: nn.Module, settings: Mapping[str, Any], back: bool) -> _Decoder:
    """Returns what reads a model's inputs: label maps, images that have attributes, or sources.

    Arguments:
        model: The model; its `num_label_classes`, `attribute_names` and `source_shape` tell which.
        settings: The arguments of the data that it was trained on: `background` and `ignore` count here as there.
        back: Whether images of its target domain are meant.

    Raises:
        UserError: If image files cannot be what it needs.
    """
    classes = getattr(model, "num_label_classes", None)
    if classes is not None and not back:
        return functools.partial(_decode_maps, num_classes=classes, ignore=settings.get("ignore"))
    images = back or getattr(model, "attribute_names", None) or getattr(model, "source_shape", None) is None
    name = "image" if images else "source"
    channels: Any = getattr(model, f"{name}_shape", (3,))[0]
    if channels not in (1, 3):
        raise UserError(f"{type(model).__name__} takes images of {channels} channels, where image files have 1 or 3")
    background = colour(settings.get("background") or "white", "data.background")
    return functools.partial(_decode_image, name=name, channels=channels, background=background)


def _listed(folder: Path, flag: str) -> list[Path]:
    if not folder.is_dir():
        if folder.is_file():
            raise UserError(f"{flag} is {folder}, a file; name the folder that it lies in")
        siblings = [str(path) for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise UserError(f"{flag} is {folder}, but there is no such folder{nearest(str(folder), siblings)}")
    return GivenFolder(folder).paths


def _decode_image(
    path: Path, name: str, channels: Literal[1, 3], background: tuple[int, int, int]
) -> dict[str, Tensor]:
    return {name: decode_whole(path, channels, background)}


def _decode_maps(
    label: Path, instance: Path | None = None, *, num_classes: int, ignore: int | None
) -> dict[str, Tensor]:
    out = {"label_map": decode_labels(label, None, "stretch", num_classes, ignore)}
    if instance is not None:
        out["instance"] = decode_indices(instance, None, "stretch")
        (height, width), (wanted_height, wanted_width) = out["instance"].shape, out["label_map"].shape
        if (height, width) != (wanted_height, wanted_width):
            raise UserError(
                f"{label} is {wanted_width}×{wanted_height} pixels (across × down), but its partner {instance} is "
                f"{width}×{height}"
            )
    return out
