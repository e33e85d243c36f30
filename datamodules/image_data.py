"""What every datamodule of images does: loaders, conversion on the device, and the contract `ImageData`."""

__all__ = ["ImageDataModule", "data_root"]

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.augment import random_crop, random_flip
from lit_gen.datamodules.loader import ResumableLoader
from lit_gen.datamodules.splits import SPLITS
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.datamodules.worker_loader import ImageItems, WorkerLoader
from lit_gen.errors import UserError, nearest
from lit_gen.functional.quantize import from_uint8

_PIXELS = ("image", "source", "label_map", "instance")
"""What has height and width in a batch."""
_LARGER = "train at load_size"


def data_root(root: str | None) -> Path:
    """Returns the folder that data sets lie in: `root`, or the environment's ``LIT_GEN_DATA``, or ``data``."""
    return Path(root or os.environ.get("LIT_GEN_DATA") or "data").expanduser()


class ImageDataModule(LightningDataModule, ABC):
    """Creates the part of a datamodule that does not depend on where its images come from.

    Images stay uint8 up to the device, where they become float32 in [−1, 1] and, while training, are augmented. The
    training loader is shuffled, the same number of full batches on every rank; the others go through their split in
    its fixed order, each image on exactly one rank. All are resumable (see `ResumableLoader`).

    Arguments:
        batch_size: Images per batch and process.
        seed: Fixes the splits, the order of the training images and their augmentation.
        horizontal_flip: Whether training images are mirrored at random.
        num_workers: Processes that read images ahead, where images are not held in memory.
        on_device: Whether training images that are held in memory lie on the training device, as uint8, so that no
            batch has to travel.
        load_size: The height and width that training images have before a box of the images' own size is cut out of
            them at random; None cuts nothing.

    Attributes:
        independent: Whether ``source`` is drawn independently of ``image``. Then an epoch of training is as long as the
            larger of the two sets, and the smaller goes round again in a fresh order; in batches in the fixed order
            the images count, each with the next source.
    """

    name: str
    independent = False

    def __init__(
        self,
        batch_size: int = 64,
        seed: int = 0,
        horizontal_flip: bool = False,
        num_workers: int = 0,
        on_device: bool = False,
        load_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        # Beside the arguments, which the concrete classes save: a checkpoint alone must be able to rebuild its data.
        self.hparams["_class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
        if batch_size < 1:
            raise UserError(f"--data.batch_size is {batch_size}; it must be at least 1")
        if num_workers < 0:
            raise UserError(f"--data.num_workers is {num_workers}; it must be 0 or more")
        self.batch_size, self.seed = batch_size, seed
        self.horizontal_flip, self.num_workers, self.on_device = horizontal_flip, num_workers, on_device
        self.load_size = load_size
        self._sources: dict[str, Mapping[str, Tensor] | ImageItems] = {}
        self._fingerprints: dict[str, str] = {}

    def __str__(self) -> str:
        """The class and its arguments; Lightning's own answer would open every loader."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.hparams.items() if not key.startswith("_"))
        return f"{type(self).__name__}({arguments})"

    @property
    @abstractmethod
    def image_shape(self) -> Shape:
        """Channels, height and width."""

    @property
    @abstractmethod
    def class_names(self) -> Sequence[str] | None:
        """The classes' names in the order of their labels, or None when the images carry no labels."""

    @abstractmethod
    def check(self) -> None:
        """Looks whether the data are there and can be read, quickly and without writing anything.

        Raises:
            UserError: If they are not; the message names the path and what would be right.
        """

    @abstractmethod
    def _open(self, split: str) -> Mapping[str, Tensor] | ImageItems:
        """Returns a split's images, as tensors by name (``image`` uint8 [N, C, H, W]) or to be read one by one."""

    def _open_larger(self) -> Mapping[str, Tensor] | ImageItems:
        """Returns the training images at `load_size`; only asked for by those who set it."""
        raise NotImplementedError

    @abstractmethod
    def _hash(self, split: str) -> str:
        """Returns a hash of a split's images, labels and of every setting that changes them."""

    @property
    def num_classes(self) -> int | None:
        """The number of classes, or None when the images carry no labels."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def paired(self) -> bool:
        """Whether an image belongs to the rest of its batch; see `lit_gen.contracts.SupportsPairs`."""
        return False

    @property
    def source_shape(self) -> Shape | None:
        """Channels, height and width of what images are translated from, or None when they are made from no image."""
        return None

    @property
    def num_label_classes(self) -> int | None:
        """The number of classes in label maps, or None when the images have none."""
        return None

    @property
    def num_segments(self) -> int | None:
        """The number of classes that pixels of images are known to be of, or None when they are not known."""
        return self.num_label_classes

    def segmentation(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns which class each pixel is of, integers [B, H, W], 255 where it is unknown.

        Arguments:
            batch: A batch of `batches`, whose images are uint8.
        """
        return batch["label_map"]

    @property
    def attribute_names(self) -> Sequence[str] | None:
        """The names of the attributes that images have or have not, or None when there are none."""
        return None

    @property
    def attribute_groups(self) -> Sequence[Sequence[int]] | None:
        """Places in `attribute_names`: one for what is there or not, several where exactly one of them is there."""
        return None

    def fingerprint(self, split: str) -> str:
        """A hash of the split's content: pixels, labels and every setting that changes them."""
        if split not in self._fingerprints:
            self._fingerprints[split] = self._hash(_known(split))
        return self._fingerprints[split]

    def num_images(self, split: str) -> int:
        """The number of images in ``"train"``, ``"val"`` or ``"test"``."""
        return _length(self._source(split))

    def batches(self, split: str, batch_size: int) -> ResumableLoader:
        """Iterates over a whole split in its fixed order, neither shuffled, augmented, sharded nor padded.

        Yields:
            ``image`` uint8 [B, C, H, W], ``index`` int64 [B] and, when there are labels, ``label`` int64 [B].
        """
        return self._loader(split, batch_size)

    def train_dataloader(self) -> ResumableLoader:
        """The shuffled training images; batches also carry ``epoch``, which augmentation is seeded with."""
        trainer = self.trainer
        loader = self._loader(
            "train",
            self.batch_size,
            drop_last=True,
            # Lightning's overfitting to a few batches means the same ones in every epoch.
            shuffle=not getattr(trainer, "overfit_batches", 0),
            seed=self.seed,
            # Lightning hands the position back only to runs that stopped within an epoch.
            epoch=0 if trainer is None else trainer.fit_loop.epoch_progress.current.processed,  # type: ignore[attr-defined]
            **self._share(),
        )
        if trainer is not None:
            # The loader must know where Lightning will stop, or a run resumed at the end of such a shortened epoch
            # would go on in its middle.
            limit = trainer.limit_train_batches
            loader.limit = limit if isinstance(limit, int) else int(len(loader) * limit)
        return loader

    def val_dataloader(self) -> ResumableLoader | list[Any]:
        """The validation images, or no loader when there are none.

        Raises:
            UserError: If there are some, but fewer than processes.
        """
        return self._held_out("val")

    def test_dataloader(self) -> ResumableLoader | list[Any]:
        """The test images, or no loader when there are none.

        Raises:
            UserError: If there are some, but fewer than processes.
        """
        return self._held_out("test")

    def predict_dataloader(self) -> ResumableLoader | list[Any]:
        """The test images."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augments batches to train on, and turns uint8 images into float32 in [−1, 1], on the device they are on.

        Arguments:
            batch: A batch of one of the loaders here; anything else is returned as it is.
            dataloader_idx: Not used.
        """
        if not isinstance(batch, Mapping) or "image" not in batch:
            return batch
        out = dict(batch)
        epoch = out.pop("epoch", None)
        visit = out.pop("visit", None)
        for name in out.keys() & set(_PIXELS):
            # Only batches to train on carry an epoch. What belongs together is changed in the same way.
            if epoch is not None:
                apart = visit is not None and name == "source"
                draw = (self.seed, epoch, out["index"] if visit is None else visit, int(apart))
                if self.load_size is not None:
                    out[name] = random_crop(out[name], self.image_shape[1:], *draw)
                if self.horizontal_flip:
                    out[name] = random_flip(out[name], *draw)
            if name == "label_map":
                out[name] = out[name].long()
            elif out[name].dtype == torch.uint8:
                out[name] = from_uint8(out[name])
        return out

    def _source(self, split: str) -> Mapping[str, Tensor] | ImageItems:
        if split not in self._sources:
            self._sources[split] = self._open(_known(split))
        return self._sources[split]

    def _loader(self, split: str, batch_size: int, **order: Any) -> ResumableLoader:
        source = self._source(split)
        if self.independent:
            order["sets"] = sets = _sets(source)
            order["size"] = max(sets.values()) if order.get("drop_last") else sets["image"]
        if self.load_size is not None and order.get("drop_last"):
            if _LARGER not in self._sources:
                self._sources[_LARGER] = self._open_larger()
            source = self._sources[_LARGER]
        if isinstance(source, Mapping):
            if self.on_device and split == "train" and self.trainer is not None:
                device = self.trainer.strategy.root_device
                source = {name: tensor.to(device) for name, tensor in source.items()}
            return TensorLoader(source, batch_size, **order)
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return WorkerLoader(source, batch_size, num_workers=self.num_workers, pin_memory=on_cuda, **order)

    def _held_out(self, split: str) -> ResumableLoader | list[Any]:
        num, share = self.num_images(split), self._share()
        processes = share["world_size"]
        if 0 < num < processes:
            # A process without images would take no part in what all do together after each batch or loop.
            raise UserError(
                f"the {split} split has {num} image{'s' if num > 1 else ''} for {processes} processes, of which each "
                f"needs one: let it have {processes} or more, or none (--data.{split}_size), or use {num} "
                f"process{'es' if num > 1 else ''}"
            )
        return self._loader(split, self.batch_size, **share) if num else []

    def _share(self) -> dict[str, int]:
        """This process's place among the trainer's, or the only place when there is no trainer."""
        if self.trainer is None:
            return {"rank": 0, "world_size": 1}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}


def _length(source: Mapping[str, Tensor] | ImageItems) -> int:
    return len(source["image"]) if isinstance(source, Mapping) else len(source)


def _sets(source: Mapping[str, Tensor] | ImageItems) -> Mapping[str, int]:
    if isinstance(source, Mapping):
        return {name: len(source[name]) for name in ("image", "source")}
    return source.sets  # type: ignore[attr-defined]


def _known(split: str) -> str:
    if split not in SPLITS:
        raise UserError(f"there is no split '{split}'; there are {', '.join(SPLITS)}{nearest(split, SPLITS)}")
    return split
