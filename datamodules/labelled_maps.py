"""Photos, and maps that name the class of each of their pixels."""

__all__ = ["LabelledMaps"]

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from lit_gen.datamodules.decode import Resize, decode
from lit_gen.datamodules.file_data import FileData, Items
from lit_gen.datamodules.label_maps import decode_indices, decode_labels
from lit_gen.datamodules.pairing import paired, same_size, split_folders
from lit_gen.datamodules.problems import raise_problems
from lit_gen.errors import UserError


class LabelledMaps(FileData):
    """Creates a data set of photos (``image``), each with a ``label_map`` and perhaps a map of instances.

    Maps are palette or grey images without loss, 8 or 16 bit, whose values are indices; a photo and its maps have the
    same name, whatever follows the last dot, and the same size. Folders with a subfolder ``train`` have their splits
    in ``train``, ``val`` and ``test``; one that is absent is taken from the training photos by seed, and so are all
    three of folders without. Before training, every label map is read and those with an index of no class are named.

    References:
        | Semantic Image Synthesis with Spatially-Adaptive Normalization (Park et al., 2019)
        | https://arxiv.org/abs/1903.07291

    Arguments:
        folder: The folder of the photos, absolute or relative to the root.
        label_folder: The folder of the label maps, likewise.
        num_label_classes: The number of classes K; indices run from 0 to K − 1, and 255 is unknown.
        instance_folder: The folder of maps in which the pixels of one object have a value of their own.
        ignore: An index that means unknown as well.
        root, batch_size, resize, channels, background, val_size, test_size, cache, num_workers, seed: See
            `ImageFolder`. Maps are resized by the nearest pixel, and unknown where they are padded.
        image_size, load_size, horizontal_flip, on_device: See `FileData`.
    """

    def __init__(
        self,
        folder: str,
        label_folder: str,
        num_label_classes: int,
        instance_folder: str | None = None,
        ignore: int | None = None,
        root: str | None = None,
        batch_size: int = 16,
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = None,
        resize: Literal["crop", "pad", "stretch"] = "crop",
        channels: Literal[1, 3] = 3,
        background: str = "white",
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        cache: Literal["auto", "always", "never"] = "auto",
        num_workers: int = 2,
        seed: int = 0,
        horizontal_flip: bool = False,
        on_device: bool = False,
    ) -> None:
        super().__init__(
            folder=folder, root=root, batch_size=batch_size, image_size=image_size, load_size=load_size, resize=resize,
            channels=channels, background=background, val_size=val_size, test_size=test_size, cache=cache,
            num_workers=num_workers, seed=seed, horizontal_flip=horizontal_flip, on_device=on_device,
        )  # fmt: skip
        self.save_hyperparameters(logger=False)
        if not 1 <= num_label_classes <= 255:
            raise UserError(f"--data.num_label_classes is {num_label_classes}; it must be from 1 to 255")
        self.label_folder = self._path(label_folder)
        self.instance_folder = None if instance_folder is None else self._path(instance_folder)
        self.classes, self.ignore = num_label_classes, ignore

    @property
    def class_names(self) -> None:
        """None: photos carry no label as wholes."""
        return None

    @property
    def paired(self) -> bool:
        """True."""
        return True

    @property
    def num_label_classes(self) -> int:
        """The number of classes in label maps."""
        return self.classes

    def _find(self) -> dict[str, dict[str, Items]]:
        folders = {"photos": self.folder, "label maps": self.label_folder}
        if self.instance_folder is not None:
            folders["instances"] = self.instance_folder
        splits, problems = dict[str, Items](), list[str]()
        for split, parts in split_folders(*folders.values()).items():
            found, wrong = paired(dict(zip(folders, parts, strict=True)))
            splits[split], problems = Items(found), problems + wrong
        raise_problems(problems, " and ".join(map(str, folders.values())))
        return {"image": splits}

    def _decoder(self, name: str, size: tuple[int, int]) -> Callable[..., dict[str, Tensor]]:
        return functools.partial(
            _decode, size=size, resize=self.resize, channels=self.channels, background=self.background,
            num_classes=self.classes, ignore=self.ignore,
        )  # fmt: skip

    def _inspect(self, *paths: Path) -> str | None:
        wrong = same_size(*paths)
        if wrong is None:
            try:
                decode_labels(paths[1], (1, 1), "stretch", self.classes, self.ignore)
            except UserError as error:
                return str(error)
        return wrong

    def _settings(self) -> tuple[object, ...]:
        return (self.classes, self.ignore, self.instance_folder is not None)


def _decode(
    photo: Path,
    label: Path,
    instance: Path | None = None,
    *,
    size: tuple[int, int],
    resize: Resize,
    channels: Literal[1, 3],
    background: tuple[int, int, int],
    num_classes: int,
    ignore: int | None,
) -> dict[str, Tensor]:
    out = {
        "image": decode(photo, size, resize, channels, background),
        "label_map": decode_labels(label, size, resize, num_classes, ignore),
    }
    return out if instance is None else {**out, "instance": decode_indices(instance, size, resize)}
