"""Images of two domains that belong to each other as wholes, not one by one."""

__all__ = ["UnpairedImages"]

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.decode import Resize, decode
from lit_gen.datamodules.file_data import FileData, Items
from lit_gen.datamodules.folder_scan import scan
from lit_gen.datamodules.pairing import split_folders
from lit_gen.datamodules.problems import raise_problems
from lit_gen.datamodules.table import Where, read_table
from lit_gen.errors import UserError


class UnpairedImages(FileData):
    """Creates a data set of domains A and B, one of which gives a batch's ``source``, the other its ``image``.

    The two are drawn independently: an epoch is as long as the larger domain, the smaller one goes round again in a
    fresh order. Whoever goes through a split in its fixed order gets each of its images once, each with the next
    source. Domains come in one of three forms:

    - subfolders ``trainA``, ``trainB``, ``testA``, ``testB`` and perhaps ``valA``, ``valB``, as the sets of CycleGAN
      have: `folder` alone;
    - A in `folder` and B in `folder_b`, each perhaps with subfolders ``train``, ``val`` and ``test``;
    - files of one folder that a `table` tells apart by `where_a` and `where_b`.

    Splits that are absent are taken from the training images by seed.

    References:
        | Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks (Zhu et al., 2017)
        | https://arxiv.org/abs/1703.10593

    Arguments:
        folder: The folder of both, or of A; absolute or relative to the root.
        folder_b: The folder of B.
        table: A CSV file, absolute or relative to the root; its first column has the files' names in `folder`.
        where_a: What A is: values, or lists of them, by column.
        where_b: What B is.
        group: A column of the table; files that agree in it are in the same split, and the sizes of splits are of such
            groups.
        direction: ``AtoB`` makes A the source and B the image, ``BtoA`` the other way round.
        source_channels: The source's channels, 3 or 1; None takes those of the image.
        root, batch_size, resize, channels, background, cache, num_workers, seed: See `ImageFolder`.
        val_size, test_size: Images of each domain, a number or a fraction, unless they have folders of their own.
        image_size, load_size, horizontal_flip, on_device: See `FileData`. Both domains are cut and mirrored, each
            image for itself.
    """

    independent = True

    def __init__(
        self,
        folder: str,
        folder_b: str | None = None,
        table: str | None = None,
        where_a: dict[str, str | int | list[str] | list[int]] | None = None,
        where_b: dict[str, str | int | list[str] | list[int]] | None = None,
        group: str | None = None,
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
            raise UserError("--data.folder_b and --data.table are both given; domains come from one of them")
        if (table is None) == bool(where_a and where_b):
            raise UserError("--data.table, --data.where_a and --data.where_b go together: what makes an image A, or B")
        if group is not None and table is None:
            raise UserError("--data.group names a column of --data.table, which is not given")
        self.folder_b = None if folder_b is None else self._path(folder_b)
        self.table = None if table is None else self._path(table)
        self.where_a, self.where_b, self.group = where_a, where_b, group
        self.direction, self.source_channels = direction, source_channels or channels

    @property
    def class_names(self) -> None:
        """None: the images carry no labels."""
        return None

    @property
    def source_shape(self) -> Shape:
        """Channels, height and width of sources."""
        return (self.source_channels, *self.size)

    def _find(self) -> dict[str, dict[str, Items]]:
        if self.table is not None:
            domains = [self._rows(self.where_a, "--data.where_a"), self._rows(self.where_b, "--data.where_b")]
        elif self.folder_b is not None:
            domains = [
                {split: _images(folder) for split, (folder,) in split_folders(domain).items()}
                for domain in (self.folder, self.folder_b)
            ]
        else:
            domains = [self._subfolders("A"), self._subfolders("B")]
        a, b = domains
        return {"image": b, "source": a} if self.direction == "AtoB" else {"image": a, "source": b}

    def _rows(self, where: Where | None, key: str) -> dict[str, Items]:
        assert self.table is not None
        table = read_table(self.table, "--data.table").take(where, key)
        paths = [self.folder / name for name in table.rows]
        absent = [f"{path} is absent, and {self.table.name} names it" for path in paths if not path.is_file()]
        raise_problems(absent, self.folder)
        groups = None if self.group is None else table.numbered(self.group, "--data.group")
        return {"train": Items([(path,) for path in paths], groups=groups)}

    def _subfolders(self, domain: str) -> dict[str, Items]:
        if self.folder.is_dir() and not (self.folder / f"train{domain}").is_dir():
            raise UserError(
                f"there is no folder {self.folder / f'train{domain}'}: the domains are to be subfolders trainA, "
                "trainB, testA and testB, or two folders --data.folder and --data.folder_b"
            )
        folders = {split: self.folder / f"{split}{domain}" for split in ("train", "val", "test")}
        return {split: _images(folder) for split, folder in folders.items() if split == "train" or folder.is_dir()}

    def _decoder(self, name: str, size: tuple[int, int]) -> Callable[..., dict[str, Tensor]]:
        channels = self.source_channels if name == "source" else self.channels
        return functools.partial(
            _decode, name=name, size=size, resize=self.resize, channels=channels, background=self.background
        )

    def _inspect(self, *paths: Path) -> str | None:
        return None

    def _settings(self) -> tuple[object, ...]:
        return (self.direction, self.source_channels)


def _images(folder: Path) -> Items:
    return Items([(path,) for path in scan(folder, labelled=False).paths])


def _decode(
    path: Path,
    name: str,
    size: tuple[int, int],
    resize: Resize,
    channels: Literal[1, 3],
    background: tuple[int, int, int],
) -> dict[str, Tensor]:
    return {name: decode(path, size, resize, channels, background)}
