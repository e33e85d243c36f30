"""Sprites whose factors and segmentation are known, for every kind of translation."""

__all__ = ["Sprites"]

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_gen.contracts import Shape
from lit_gen.datamodules.attributes import Attributes, attributes_of
from lit_gen.datamodules.fingerprint import hash_tensors
from lit_gen.datamodules.image_data import ImageDataModule, data_root
from lit_gen.datamodules.resize import RESIZE, image_height_width, resize_uint8
from lit_gen.datamodules.splits import share_out
from lit_gen.datamodules.sprite_arrays import SpriteArrays
from lit_gen.datamodules.table import Table, Where
from lit_gen.errors import UserError, nearest
from lit_gen.functional.label_colours import label_colours, labels_of_colours

_KINDS = ("images", "paired", "label_maps", "unpaired", "attributes")


class Sprites(ImageDataModule):
    """Creates a data set of an npz file with ``images``, ``factors`` and ``segmentation`` (see `SpriteArrays`).

    What goes with an ``image`` depends on the kind:

    - ``images``: nothing;
    - ``paired``: its segmentation, painted, is the ``source``;
    - ``label_maps``: its segmentation is the ``label_map``;
    - ``unpaired``: the ``source`` is an image as `where_a` says and the ``image`` one as `where_b` says, drawn
      independently (see `UnpairedImages`);
    - ``attributes``: the values of its factors are ``attributes``.

    The splits are made by seed, of all images, before any is left out: an image is in the same split whatever the
    kind, so that a classifier trained on the images of one has not seen the test images of another.

    References:
        | Disentangled Sequential Autoencoder (Li and Mandt, 2018), whose sprites these are
        | https://arxiv.org/abs/1803.02991

    Arguments:
        path: The npz file, absolute or relative to the root.
        kind: See above.
        label: A factor whose values are classes; then images carry a ``label``.
        attributes: The factors that attributes are taken from; None takes all.
        where: Which of the images: values, or lists of them, by factor; None takes all.
        where_a: What sources are, if unpaired.
        where_b: What images are, if unpaired.
        root: The folder that data sets lie in; None takes the environment's ``LIT_GEN_DATA``, or else ``data``.
        batch_size: Images per batch and process.
        image_size: Pixels per side, or [height, width]; None keeps the original size.
        load_size: What training images are brought to before a box of `image_size` is cut out at random; None cuts
            nothing.
        val_size: Validation images, a number or a fraction of all.
        test_size: Test images, likewise.
        seed: Fixes the splits, the order of the training images and their augmentation.
        horizontal_flip: Whether training images are mirrored at random, with all that belongs to them.
        on_device: Whether training images lie on the training device, as uint8.
    """

    def __init__(
        self,
        path: str,
        kind: Literal["images", "paired", "label_maps", "unpaired", "attributes"] = "images",
        label: str | None = None,
        attributes: list[str] | None = None,
        where: dict[str, str | int | list[str] | list[int]] | None = None,
        where_a: dict[str, str | int | list[str] | list[int]] | None = None,
        where_b: dict[str, str | int | list[str] | list[int]] | None = None,
        root: str | None = None,
        batch_size: int = 64,
        image_size: int | tuple[int, int] | None = None,
        load_size: int | tuple[int, int] | None = None,
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        seed: int = 0,
        horizontal_flip: bool = False,
        on_device: bool = False,
    ) -> None:
        larger = None if load_size is None else image_height_width(load_size)
        super().__init__(
            batch_size=batch_size, seed=seed, horizontal_flip=horizontal_flip, on_device=on_device, load_size=larger
        )
        self.save_hyperparameters(logger=False)
        if kind not in _KINDS:
            raise UserError(f"--data.kind is '{kind}'; it must be one of {', '.join(_KINDS)}{nearest(kind, _KINDS)}")
        if (kind == "unpaired") != bool(where_a and where_b) or (kind != "unpaired" and (where_a or where_b)):
            raise UserError("--data.kind unpaired, --data.where_a and --data.where_b go together")
        if attributes is not None and kind != "attributes":
            raise UserError(f"--data.attributes is given, but --data.kind is {kind}")
        self.arrays = SpriteArrays(data_root(root) / Path(path).expanduser())
        self.name = self.arrays.path.stem
        self.kind, self.label, self.factors = kind, label, attributes
        self.where, self.where_a, self.where_b = where, where_a, where_b
        self.independent = kind == "unpaired"
        self.image_size = None if image_size is None else image_height_width(image_size)
        self.val_size, self.test_size = val_size, test_size

    @property
    def image_shape(self) -> Shape:
        """3, height and width."""
        return (3, *(self.image_size or self.arrays.size))

    @property
    def paired(self) -> bool:
        """Whether images come with their segmentation."""
        return self.kind in ("paired", "label_maps")

    @property
    def source_shape(self) -> Shape | None:
        """That of images, or None when they are made from no image."""
        return self.image_shape if self.kind in ("paired", "unpaired") else None

    @property
    def num_label_classes(self) -> int | None:
        """The number of classes in segmentations, or None when the images come without."""
        return self.arrays.num_parts if self.kind == "label_maps" else None

    @property
    def num_segments(self) -> int | None:
        """The number of classes in segmentations, or None when the images come without."""
        return self.arrays.num_parts if self.paired else None

    def segmentation(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns which part of a sprite each pixel is of, integers [B, H, W]."""
        return labels_of_colours(batch["source"]) if self.kind == "paired" else batch["label_map"]

    @property
    def attribute_names(self) -> tuple[str, ...] | None:
        """``factor=value``, or None when the images come without."""
        return self._attributes.names if self.kind == "attributes" else None

    @property
    def attribute_groups(self) -> tuple[tuple[int, ...], ...] | None:
        """For each factor the places of its values in `attribute_names`, or None."""
        return self._attributes.groups if self.kind == "attributes" else None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The values of the factor that labels are taken from, or None when there is none."""
        if self.label is None:
            return None
        return tuple(sorted(set(self._wanted.column(self.label, "--data.label").values())))

    @property
    def factor_names(self) -> tuple[str, ...]:
        """The factors that differ between images, whatever the kind."""
        columns = self.arrays.table.columns
        return tuple(name for name in columns if len(set(self._wanted.column(name, "--data.where").values())) > 1)

    def factor_values(self, split: str) -> Tensor:
        """The numbers of their values among all there are, for a split's images in their order, int64 [N, F]."""
        place = {row: number for number, row in enumerate(self._wanted.rows)}
        rows = [place[str(i)] for i in self._indices(split)["image"].tolist()]
        columns = [self._wanted.numbered(name, "--data.where")[rows] for name in self.factor_names]
        return torch.stack(columns, dim=1) if columns else torch.empty(len(rows), 0, dtype=torch.int64)

    def check(self) -> None:
        """Looks whether the file is there, its arrays fit, and the settings name factors and values of it."""
        self.arrays.check()
        if self.load_size is not None and any(
            larger < size for larger, size in zip(self.load_size, self.image_shape[1:], strict=True)
        ):
            raise UserError(
                f"--data.load_size is {self.load_size}; it must be at least the images' size, {self.image_shape[1:]}"
            )
        _ = self.class_names, self.attribute_names
        for split in ("train", "val", "test"):
            self._indices(split)

    @functools.cached_property
    def _wanted(self) -> Table:
        """The factors of the images that are not left out."""
        return self.arrays.table.take(self.where, "--data.where")

    @functools.cached_property
    def _attributes(self) -> Attributes:
        names = self.arrays.table.columns if self.factors is None else self.factors
        columns = {name: list(self._wanted.column(name, "--data.attributes").values()) for name in names}
        return attributes_of(columns, str(self.arrays.path), chosen=self.factors is not None)

    @functools.cached_property
    def _shares(self) -> dict[str, list[int]]:
        every = torch.zeros(len(self.arrays.table.rows), dtype=torch.int64)
        shares = share_out({"train": every}, self.val_size, self.test_size, self.seed)
        return {split: indices for split, (_, indices) in shares.items()}

    def _indices(self, split: str) -> dict[str, Tensor]:
        """The places in the file of a split's images, and of its sources if they are others."""
        kinds: dict[str, tuple[Where | None, str]] = {"image": (None, "")}
        if self.independent:
            kinds = {"image": (self.where_b, "--data.where_b"), "source": (self.where_a, "--data.where_a")}
        out = {}
        for name, (where, key) in kinds.items():
            rows = self._wanted.take(where, key).rows
            out[name] = torch.tensor([place for place in self._shares[split] if str(place) in rows], dtype=torch.int64)
        sizes = [len(index) for index in out.values()]
        if (split == "train" and not all(sizes)) or min(sizes) == 0 < max(sizes):
            counts = ", ".join(
                f"{size} of --data.{key}" for size, key in zip(sizes, ("where_b", "where_a"), strict=False)
            )
            raise UserError(f"the split '{split}' of {self.arrays.path} has too few images: {counts or sizes[0]}")
        return out

    def _open(self, split: str) -> dict[str, Tensor]:
        return self._tensors(split, self.image_shape[1:])

    def _open_larger(self) -> dict[str, Tensor]:
        assert self.load_size is not None
        return self._tensors("train", self.load_size)

    def _tensors(self, split: str, size: tuple[int, int]) -> dict[str, Tensor]:
        indices = self._indices(split)
        index = indices["image"]
        out = {name: resize_uint8(self.arrays.image(places), size) for name, places in indices.items()}
        if self.kind in ("paired", "label_maps"):
            label_map = self.arrays.segmentation(index)[:, None]
            if tuple(label_map.shape[-2:]) != size:
                label_map = F.interpolate(label_map, size, mode="nearest-exact")
            if self.kind == "paired":
                out["source"] = torch.cat([label_colours(part[:, 0]) for part in label_map.split(1024)])
            else:
                out["label_map"] = label_map[:, 0].contiguous()
        if self.kind == "attributes":
            place = {row: number for number, row in enumerate(self._wanted.rows)}
            out["attributes"] = self._attributes.values[[place[str(i)] for i in index.tolist()]]
        if self.class_names is not None:
            number = {name: label for label, name in enumerate(self.class_names)}
            values = self._wanted.column(self.label or "", "--data.label")
            out["label"] = torch.tensor([number[values[str(i)]] for i in index.tolist()], dtype=torch.int64)
        return out

    def _hash(self, split: str) -> str:
        tensors = self._source(split)
        assert isinstance(tensors, dict)
        return hash_tensors(tensors, self.name, split, RESIZE)
