"""What datamodules have in common whose items are read from several image files."""

__all__ = ["FileData", "Items"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.decode import DECODER, Resize, colour
from lit_gen.datamodules.image_data import ImageDataModule, data_root
from lit_gen.datamodules.image_files import CACHE_BYTES, ImageFiles
from lit_gen.datamodules.independent_files import IndependentFiles
from lit_gen.datamodules.problems import raise_problems
from lit_gen.datamodules.resize import image_height_width
from lit_gen.datamodules.splits import share_out
from lit_gen.errors import UserError

_CHECKED = 256


@dataclass(frozen=True)
class Items:
    """The files of each item, and what goes with it."""

    paths: Sequence[tuple[Path, ...]]
    beside: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    """Classes that every split has its share of, int64 [N]."""
    groups: Tensor | None = None
    """Items of one group are in the same split, int64 [N]."""

    def take(self, indices: Sequence[int]) -> "Items":
        """Returns some of the items, in the order asked for."""
        beside = {name: tensor[indices] for name, tensor in self.beside.items()}
        return Items([self.paths[index] for index in indices], beside)


class FileData(ImageDataModule, ABC):
    """Creates the part of a datamodule that does not depend on which files belong together.

    Splits that have files of their own keep them; the others are taken from the training files by seed.

    Arguments:
        folder, root, batch_size, val_size, test_size, cache, num_workers, seed, background: See `ImageFolder`.
        image_size: Pixels per side, or [height, width].
        load_size: What training images are brought to before a box of `image_size` is cut out at random; None cuts
            nothing.
        resize: See `ImageFolder`.
        channels: 3 for RGB, 1 for grey.
        horizontal_flip: Whether training images are mirrored at random, with all that belongs to them.
        on_device: Whether training images lie on the training device, if they are held in memory.
    """

    def __init__(
        self,
        *,
        folder: str,
        root: str | None,
        image_size: int | tuple[int, int],
        load_size: int | tuple[int, int] | None,
        resize: Resize,
        channels: Literal[1, 3],
        background: str,
        val_size: int | float,
        test_size: int | float,
        cache: Literal["auto", "always", "never"],
        **loading: Any,
    ) -> None:
        size = image_height_width(image_size)
        larger = None if load_size is None else image_height_width(load_size)
        super().__init__(load_size=None if larger == size else larger, **loading)
        if larger is not None and (larger[0] < size[0] or larger[1] < size[1]):
            raise UserError(f"--data.load_size is {load_size}; it must be at least image_size, which is {image_size}")
        self._known_values("resize", resize, ("crop", "pad", "stretch"))
        self._known_values("channels", channels, (1, 3))
        self._known_values("cache", cache, ("auto", "always", "never"))
        self.root = data_root(root)
        self.folder = self._path(folder)
        self.name = self.folder.resolve().name
        self.size, self.resize, self.channels, self.cache = size, resize, channels, cache
        self.background = colour(background, "--data.background")
        self.val_size, self.test_size = val_size, test_size

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""
        return (self.channels, *self.size)

    def check(self) -> None:
        """Looks at all files' heads, and at the pixels of some, or of all if they are few.

        Raises:
            UserError: If something is wrong; the message names file by file.
        """
        problems = list[str]()
        for name, found in self._found.items():
            decode = self._decoder(name, self.size)
            for items in found.values():
                files = ImageFiles(items.paths, decode)
                heads = files.each(self._inspect, range(len(files)))
                stride = max(len(files) // _CHECKED, 1)
                sampled = [index for index in range(0, len(files), stride) if heads[index] is None]
                pixels = dict(zip(sampled, files.problems(sampled), strict=True))
                wrong = (heads[index] or pixels.get(index) for index in range(len(files)))
                problems += [str(problem) for problem in wrong if problem is not None]
        raise_problems(problems, self.folder)
        for split in ("train", "val", "test"):
            self._files(split)

    @abstractmethod
    def _find(self) -> dict[str, dict[str, Items]]:
        """Returns the items of each set (``image``, or ``image`` and ``source`` if they are independent) by split.

        There is at least ``train``.

        Raises:
            UserError: If files are missing.
        """

    @abstractmethod
    def _decoder(self, name: str, size: tuple[int, int]) -> Callable[..., dict[str, Tensor]]:
        """Returns what turns an item's files into tensors of a size, for one of the sets; it can be pickled."""

    @abstractmethod
    def _inspect(self, *paths: Path) -> str | None:
        """Says what is wrong with an item's files, quickly, or None."""

    @abstractmethod
    def _settings(self) -> tuple[object, ...]:
        """Returns what else decides the pixels, for fingerprints."""

    @cached_property
    def _found(self) -> dict[str, dict[str, Items]]:
        return self._find()

    @cached_property
    def _parts(self) -> dict[str, dict[str, Items]]:
        """The items of each set and split in their fixed order."""
        parts: dict[str, dict[str, Items]] = {}
        for name, found in self._found.items():
            labels = {
                split: torch.zeros(len(items.paths), dtype=torch.int64) if items.labels is None else items.labels
                for split, items in found.items()
            }
            shares = share_out(labels, self.val_size, self.test_size, self.seed, found["train"].groups)
            parts[name] = {split: found[origin].take(indices) for split, (origin, indices) in shares.items()}
        return parts

    def _files(self, split: str, size: tuple[int, int] | None = None) -> dict[str, ImageFiles]:
        files = {
            name: ImageFiles(parts[split].paths, self._decoder(name, size or self.size), parts[split].beside)
            for name, parts in self._parts.items()
        }
        sizes = {name: len(part) for name, part in files.items()}
        if min(sizes.values()) == 0 < max(sizes.values()):
            raise UserError(
                f"the split '{split}' of {self.folder} has {sizes['image']} images and {sizes['source']} sources"
            )
        return files

    def _open(self, split: str) -> Mapping[str, Tensor] | ImageFiles | IndependentFiles:
        return self._read(self._files(split))

    def _open_larger(self) -> Mapping[str, Tensor] | ImageFiles | IndependentFiles:
        return self._read(self._files("train", self.load_size))

    def _read(self, files: dict[str, ImageFiles]) -> Mapping[str, Tensor] | ImageFiles | IndependentFiles:
        if len(files["image"]) and self._in_memory(files):
            return {name: tensor for part in files.values() for name, tensor in part.tensors().items()}
        return IndependentFiles(**files) if self.independent else files["image"]

    def _in_memory(self, files: dict[str, ImageFiles]) -> bool:
        if self.cache != "auto":
            return self.cache == "always"
        total = 0
        for name, part in files.items():
            count = sum(len(items.paths) for items in self._found[name].values())
            total += count * sum(tensor.numel() * tensor.element_size() for tensor in part.item(0, 0).values())
        return total <= CACHE_BYTES

    def _hash(self, split: str) -> str:
        # Of the files, not of the pixels: the hash must not depend on whether those are held in memory.
        settings = (DECODER, self.size, self.resize, self.channels, self.background, *self._settings())
        hashes = [files.hash(name, self.name, split, *settings) for name, files in self._files(split).items()]
        return "".join(part[: 32 // len(hashes)] for part in hashes)

    def _path(self, name: str) -> Path:
        return self.root / Path(name).expanduser()

    def _known_values(self, key: str, value: object, known: tuple[object, ...]) -> None:
        if value not in known:
            raise UserError(f"--data.{key} is {value!r}; it must be one of {', '.join(map(str, known))}")
