"""Pairs of images: one to translate, and what it is to become."""

__all__ = ["PairedImages"]

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.decode import Resize, decode, decode_halves
from lit_gen.datamodules.file_data import FileData, Items
from lit_gen.datamodules.folder_scan import scan
from lit_gen.datamodules.pairing import measured, paired, same_size, split_folders
from lit_gen.datamodules.problems import raise_problems
from lit_gen.datamodules.table import partners, read_table
from lit_gen.errors import UserError

_Channels = Literal[1, 3]


class PairedImages(FileData):
    """Creates a data set of pairs A and B, one of which is the ``source`` of the other, the ``image``.

    Pairs come in one of three forms:

    - files that hold A as their left half and B as their right one, as the sets of pix2pix do: `folder` alone;
    - A in `folder` and B under the same name in `folder_b`;
    - files of one folder that a `table` pairs: those rows that are as `where_a` says with those that are as `where_b`
      says and have the same value in the column `match`.

    A folder with a subfolder ``train`` has its splits in ``train``, ``val`` and ``test``; one that is absent is taken
    from the training pairs by seed, and so are all three of a folder without.

    References:
        | Image-to-Image Translation with Conditional Adversarial Networks (Isola et al., 2017)
        | https://arxiv.org/abs/1611.07004

    Arguments:
        folder: The folder of the pairs, or of A; absolute or relative to the root.
        folder_b: The folder of B.
        table: A CSV file, absolute or relative to the root; its first column has the files' names in `folder`.
        match: The column that has the same value for both of a pair.
        where_a: What A is: values, or lists of them, by column.
        where_b: What B is.
        direction: ``AtoB`` makes A the source and B the image, ``BtoA`` the other way round.
        source_channels: The source's channels, 3 or 1; None takes those of the image.
        root, batch_size, resize, channels, background, val_size, test_size, cache, num_workers, seed: See
            `ImageFolder`.
        image_size, load_size, horizontal_flip, on_device: See `FileData`. The paper brings pairs to 286×286 and cuts
            out 256×256.
    """

    def __init__(
        self,
        folder: str,
        folder_b: str | None = None,
        table: str | None = None,
        match: str | None = None,
        where_a: dict[str, str | int | list[str] | list[int]] | None = None,
        where_b: dict[str, str | int | list[str] | list[int]] | None = None,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        root: str | None = None,
        batch_size: int = 1,
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = None,
        resize: Literal["crop", "pad", "stretch"] = "crop",
        channels: Literal[1, 3] = 3,
        source_channels: Literal[1, 3] | None = None,
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
        self._known_values("direction", direction, ("AtoB", "BtoA"))
        self._known_values("source_channels", source_channels, (None, 1, 3))
        if folder_b is not None and table is not None:
            raise UserError("--data.folder_b and --data.table are both given; pairs come from one of them")
        if (table is None) != (match is None):
            raise UserError("--data.table and --data.match go together: the column that both of a pair agree in")
        if table is None and (where_a or where_b):
            raise UserError("--data.where_a and --data.where_b are conditions on --data.table, which is not given")
        self.folder_b = None if folder_b is None else self._path(folder_b)
        self.table = None if table is None else self._path(table)
        self.match, self.where_a, self.where_b = match, where_a, where_b
        self.direction, self.source_channels = direction, source_channels or channels

    @property
    def class_names(self) -> None:
        """None: pairs carry no labels."""
        return None

    @property
    def paired(self) -> bool:
        """True."""
        return True

    @property
    def source_shape(self) -> Shape:
        """Channels, height and width of sources."""
        return (self.source_channels, *self.size)

    def _find(self) -> dict[str, dict[str, Items]]:
        if self.table is not None:
            table = read_table(self.table, "--data.table")
            names, problems = partners(table, self.match or "", self.where_a, self.where_b)
            pairs = [(self.folder / a, self.folder / b) for a, b in names]
            problems += [
                f"{path} is absent, and {self.table.name} names it"
                for pair in pairs
                for path in pair
                if not path.is_file()
            ]
            raise_problems(problems, self.folder)
            return {"image": {"train": Items(pairs)}}
        splits, problems = dict[str, Items](), list[str]()
        if self.folder_b is None:
            for split, (folder,) in split_folders(self.folder).items():
                splits[split] = Items([(path,) for path in scan(folder, labelled=False).paths])
        else:
            for split, (a, b) in split_folders(self.folder, self.folder_b).items():
                found, wrong = paired({"A": a, "B": b})
                splits[split], problems = Items(found), problems + wrong
            raise_problems(problems, f"{self.folder} and {self.folder_b}")
        return {"image": splits}

    def _decoder(self, name: str, size: tuple[int, int]) -> Callable[..., dict[str, Tensor]]:
        channels = {"source": self.source_channels, "image": self.channels}
        names = ("source", "image") if self.direction == "AtoB" else ("image", "source")
        return functools.partial(
            _decode, size=size, resize=self.resize, channels={name: channels[name] for name in names},
            background=self.background,
        )  # fmt: skip

    def _inspect(self, *paths: Path) -> str | None:
        if len(paths) > 1:
            return same_size(*paths)
        size = measured(paths[0])
        if size is None or size[0] % 2 == 0:
            return None
        return f"{paths[0]} is {size[0]} pixels wide, which cannot be halved into A and B"

    def _settings(self) -> tuple[object, ...]:
        return (self.direction, self.source_channels)


def _decode(
    *paths: Path,
    size: tuple[int, int],
    resize: Resize,
    channels: dict[str, _Channels],
    background: tuple[int, int, int],
) -> dict[str, Tensor]:
    """Reads A and B; `channels` names them in that order."""
    a, b = channels.values()
    if len(paths) == 1:
        tensors = decode_halves(paths[0], size, resize, (a, b), background)
    else:
        tensors = (decode(paths[0], size, resize, a, background), decode(paths[1], size, resize, b, background))
    return dict(zip(channels, tensors, strict=True))
