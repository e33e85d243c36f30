"""CIFAR-10, from the pickled batches that its authors distribute."""

__all__ = ["CIFAR10"]

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_gen.datamodules.official_splits import OfficialSplits
from lit_gen.errors import UserError

_FOLDER = Path("cifar-10-batches-py")
_TRAIN = [_FOLDER / f"data_batch_{number}" for number in range(1, 6)]
_TEST = [_FOLDER / "test_batch"]
_ROW = 3 * 32 * 32


class CIFAR10(OfficialSplits):
    """Creates CIFAR-10: 50,000 + 10,000 colour photographs of 32×32 pixels in ten classes.

    References:
        Krizhevsky: Learning Multiple Layers of Features from Tiny Images. 2009.

    Arguments:
        root, download, batch_size, image_size, val_size, seed, horizontal_flip, on_device: See `OfficialSplits`.
    """

    name = "cifar10"
    native_shape = (3, 32, 32)
    train_images = 50_000
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def _missing(self) -> Path | None:
        return next((file for file in [*_TRAIN, *_TEST] if not (self.root / file).is_file()), None)

    def _check_files(self) -> None:
        for file in [*_TRAIN, *_TEST]:
            size = (self.root / file).stat().st_size
            # The pixels are stored as they are, so a whole file is longer than one image by far.
            if size < _ROW:
                raise UserError(f"{self.root / file}: holds only {size} bytes; delete it and download it anew")

    def _download(self) -> None:
        from torchvision.datasets import CIFAR10

        CIFAR10(self.root, download=True)

    def _read(self, train: bool) -> tuple[Tensor, Tensor]:
        parts = [_read_batch(self.root / file) for file in (_TRAIN if train else _TEST)]
        image, label = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return image, label


def _read_batch(path: Path) -> tuple[Tensor, Tensor]:
    try:
        batch = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        data, labels = np.asarray(batch["data"]), batch["labels"]
        image = torch.from_numpy(data.astype(np.uint8, casting="safe")).reshape(-1, 3, 32, 32)
        label = torch.tensor(labels, dtype=torch.int64)
        if len(image) != len(label) or not len(label) or label.min() < 0 or label.max() > 9:
            raise ValueError(f"{len(image)} images, {len(label)} labels")
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a batch of CIFAR-10 ({reason}); delete it and download it anew") from error
    return image, label


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of numpy arrays and of nothing else, since a pickle may otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[str, Any] = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.ndarray.__new__}
        # The module is called numpy.core or numpy._core, as numpy's version has it.
        if module.partition(".")[0] == "numpy" and name in allowed:
            return allowed[name]
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
