"""A user's own images, in a folder."""

__all__ = ["ImageFolder"]

import functools
import math
from pathlib import Path
from typing import Literal

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.decode import DECODER, colour, decode_image
from lit_gen.datamodules.folder_scan import Found, scan
from lit_gen.datamodules.image_data import ImageDataModule, data_root
from lit_gen.datamodules.image_files import CACHE_BYTES, ImageFiles
from lit_gen.datamodules.resize import image_height_width
from lit_gen.datamodules.splits import share_out
from lit_gen.errors import UserError

_CHECKED_FILES = 256


class ImageFolder(ImageDataModule):
    """Creates a data set of the image files in a folder and its subfolders.

    If the folder has a subfolder ``train``, the splits are the subfolders ``train``, ``val`` and ``test``; one that is
    absent is taken from the training images. Otherwise all three are taken from all images, by seed. Every class has
    its share of a split that is taken so. Images of any mode are read: transparent ones are composited on a colour,
    16-bit grey is scaled, EXIF orientation is applied, of animations the first frame counts.

    Arguments:
        folder: The folder, absolute or relative to the root.
        root: The folder that data sets lie in; None takes the environment's ``LIT_GEN_DATA``, or else ``data``.
        batch_size: Images per batch and process.
        image_size: Pixels per side, or [height, width].
        resize: How an image of another shape gets there: ``crop`` (cover, cut off both sides), ``pad`` (fit inside,
            fill up with the background) or ``stretch``; all antialiased bilinear.
        channels: 3 for RGB, 1 for grey.
        background: The colour behind transparent pixels and padding, as a name or #rrggbb.
        labelled: Whether subfolders are classes; None decides: they are if there are several.
        val_size: Validation images, a number or a fraction, unless there is a folder ``val``.
        test_size: Test images, a number or a fraction, unless there is a folder ``test``.
        on_error: What a file that cannot be read does: ``raise`` ends the run, naming it; ``skip`` leaves it out,
            counted in a warning. To skip, every file is decoded once before the splits are made, so that these, and
            the batches, do not depend on when a damaged file is met.
        cache: Whether decoded images are held in memory: ``auto`` does so if all of them take at most 512 MiB.
        num_workers: Processes that read images ahead, if they are not held in memory.
        seed: Fixes the splits, the order of the training images and their augmentation.
        horizontal_flip: Whether training images are mirrored at random.
        on_device: Whether training images lie on the training device, as uint8, if they are held in memory.
    """

    def __init__(
        self,
        folder: str,
        root: str | None = None,
        batch_size: int = 64,
        image_size: int | tuple[int, int] = 64,
        resize: Literal["crop", "pad", "stretch"] = "crop",
        channels: Literal[1, 3] = 3,
        background: str = "white",
        labelled: bool | None = None,
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        on_error: Literal["raise", "skip"] = "raise",
        cache: Literal["auto", "always", "never"] = "auto",
        num_workers: int = 2,
        seed: int = 0,
        horizontal_flip: bool = False,
        on_device: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            horizontal_flip=horizontal_flip,
            num_workers=num_workers,
            on_device=on_device,
        )
        self.save_hyperparameters(logger=False)
        for key, value, known in (
            ("resize", resize, ("crop", "pad", "stretch")),
            ("channels", channels, (1, 3)),
            ("on_error", on_error, ("raise", "skip")),
            ("cache", cache, ("auto", "always", "never")),
        ):
            if value not in known:
                raise UserError(f"--data.{key} is {value!r}; it must be one of {', '.join(map(str, known))}")
        self.folder = data_root(root) / Path(folder).expanduser()
        self.name = self.folder.resolve().name
        self.channels, self.size = channels, image_height_width(image_size)
        self.labelled, self.val_size, self.test_size = labelled, val_size, test_size
        self.on_error, self.cache = on_error, cache
        self._decode = functools.partial(
            decode_image,
            size=self.size,
            resize=resize,
            channels=channels,
            background=colour(background, "--data.background"),
        )
        self._settings = (DECODER, self.size, resize, channels, background)

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""
        return (self.channels, *self.size)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the class folders, or None when there are none."""
        return self._found["train"].classes

    def check(self) -> None:
        """Looks for the folder and its images, and decodes some, or all if they are few."""
        total = sum(len(found.paths) for found in self._found.values())
        stride = max(total // _CHECKED_FILES, 1)
        for found in self._found.values():
            files = self._files(found)
            problems = files.problems(range(0, len(files), stride))
            wrong = [problem for problem in problems if problem is not None]
            if wrong and (self.on_error == "raise" or len(wrong) == len(files)):
                raise wrong[0]
        if self.on_error == "raise":
            _ = self._parts  # the sizes of the splits may be wrong, too

    @functools.cached_property
    def _found(self) -> dict[str, Found]:
        """The files of the splits' folders, or all of them under "train" when there are no such folders."""
        train = self.folder / "train"
        if not train.is_dir():
            return {"train": scan(self.folder, self.labelled)}
        found = {"train": scan(train, self.labelled)}
        classes = found["train"].classes
        for split in ("val", "test"):
            if (self.folder / split).is_dir():
                found[split] = scan(self.folder / split, classes is not None, classes)
        return found

    @functools.cached_property
    def _parts(self) -> dict[str, Found]:
        """The files of each split in its fixed order: shuffled, so that its first images represent it."""
        found = self._found if self.on_error == "raise" else self._without_damaged(self._found)
        labels = {split: torch.tensor(files.labels) for split, files in found.items()}
        shares = share_out(labels, self.val_size, self.test_size, self.seed)
        return {split: found[origin].take(indices) for split, (origin, indices) in shares.items()}

    def _without_damaged(self, found: dict[str, Found]) -> dict[str, Found]:
        good, wrong = {}, []
        for split, files in found.items():
            problems = self._files(files).problems(range(len(files.paths)))
            good[split] = files.take([i for i, problem in enumerate(problems) if problem is None])
            wrong += [problem for problem in problems if problem is not None]
            if not good[split].paths:
                raise wrong[-1]
        if wrong:
            total = sum(len(files.paths) for files in found.values())
            rank_zero_warn(f"{len(wrong)} of {total} images in {self.folder} are skipped; the first: {wrong[0]}")
        return good

    def _files(self, found: Found) -> ImageFiles:
        labels = None if found.classes is None else torch.tensor(found.labels, dtype=torch.int64)
        return ImageFiles([(path,) for path in found.paths], self._decode, {} if labels is None else {"label": labels})

    def _open(self, split: str) -> dict[str, Tensor] | ImageFiles:
        files = self._files(self._parts[split])
        total = sum(len(found.paths) for found in self._found.values()) * math.prod(self.image_shape)
        cached = self.cache == "always" or (self.cache == "auto" and total <= CACHE_BYTES)
        return files.tensors() if cached and len(files) else files

    def _hash(self, split: str) -> str:
        # Of the files, not of the pixels: the hash must not depend on whether those are held in memory.
        return self._files(self._parts[split]).hash(self.name, split, *self._settings)
