"""Images with attributes that a table lists."""

__all__ = ["AttributeImages"]

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from lit_gen.datamodules.attributes import Attributes, attributes_of
from lit_gen.datamodules.decode import decode_image
from lit_gen.datamodules.file_data import FileData, Items
from lit_gen.datamodules.problems import raise_problems
from lit_gen.datamodules.table import Table, read_table
from lit_gen.errors import UserError


class AttributeImages(FileData):
    """Creates a data set of the images that a table lists, with ``attributes`` in {0, 1}, shape [A].

    The table is a CSV file with a header, or a text file in the form of CelebA's ``list_attr_celeba.txt``; its first
    column names the files. A column of yes or no (1 and −1, 1 and 0, true and false, yes and no) is an attribute; of
    any other each value is one, ``column=value``, exactly one of which an image has.

    References:
        | StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation (Choi et al.,
        | 2018)
        | https://arxiv.org/abs/1711.09020

    Arguments:
        folder: The folder of the images, absolute or relative to the root.
        table: The table, absolute or relative to the root.
        attributes: The columns that attributes are taken from; None takes all.
        where: Which of the images: values, or lists of them, by column; None takes all.
        label: A column whose values are classes; then images carry a ``label``, and each split has its share of every
            class.
        group: A column; images that agree in it are in the same split, and the sizes of splits are of such groups.
        root, batch_size, resize, channels, background, val_size, test_size, cache, num_workers, seed: See
            `ImageFolder`.
        image_size, load_size, horizontal_flip, on_device: See `FileData`.
    """

    def __init__(
        self,
        folder: str,
        table: str,
        attributes: list[str] | None = None,
        where: dict[str, str | int | list[str] | list[int]] | None = None,
        label: str | None = None,
        group: str | None = None,
        root: str | None = None,
        batch_size: int = 16,
        image_size: int | tuple[int, int] = 128,
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
        self.table, self.columns, self.where = self._path(table), attributes, where
        self.label, self.group = label, group

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The values of the column that labels are taken from, or None when there is none."""
        if self.label is None:
            return None
        return tuple(sorted(set(self._table.column(self.label, "--data.label").values())))

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes' names: columns, or ``column=value``."""
        return self._attributes.names

    @property
    def attribute_groups(self) -> tuple[tuple[int, ...], ...]:
        """For each column its attributes' places in `attribute_names`."""
        return self._attributes.groups

    @functools.cached_property
    def _table(self) -> Table:
        return read_table(self.table, "--data.table").take(self.where, "--data.where")

    @functools.cached_property
    def _attributes(self) -> Attributes:
        names = self._table.columns if self.columns is None else self.columns
        if not names:
            raise UserError("--data.attributes is empty; name columns of the table")
        columns = {name: list(self._table.column(name, "--data.attributes").values()) for name in names}
        return attributes_of(columns, str(self.table), chosen=self.columns is not None)

    def _find(self) -> dict[str, dict[str, Items]]:
        paths = [self.folder / name for name in self._table.rows]
        absent = [f"{path} is absent, and {self.table.name} names it" for path in paths if not path.is_file()]
        raise_problems(absent, self.folder)
        beside, label = {"attributes": self._attributes.values}, None
        if self.class_names is not None:
            beside["label"] = label = self._table.numbered(self.label or "", "--data.label")
        groups = None if self.group is None else self._table.numbered(self.group, "--data.group")
        return {"image": {"train": Items([(path,) for path in paths], beside, label, groups)}}

    def _decoder(self, name: str, size: tuple[int, int]) -> Callable[..., dict[str, Tensor]]:
        return functools.partial(
            decode_image, size=size, resize=self.resize, channels=self.channels, background=self.background
        )

    def _inspect(self, *paths: Path) -> str | None:
        return None

    def _settings(self) -> tuple[object, ...]:
        return (self.attribute_names, self.class_names)
