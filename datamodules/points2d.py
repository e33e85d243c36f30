"""Points of toy worlds, as images of one pixel."""

__all__ = ["Points2D"]

import hashlib
from typing import Any

import torch
from torch import Tensor

from lit_gen.contracts import Shape
from lit_gen.datamodules.fingerprint import hash_tensors
from lit_gen.datamodules.image_data import ImageDataModule
from lit_gen.datamodules.splits import SPLITS
from lit_gen.errors import UserError
from lit_gen.functional.worlds import Ring, World


class Points2D(ImageDataModule):
    """Creates splits of points drawn from a toy world.

    A point is an image with a channel per coordinate and one pixel, [2, 1, 1] in the plane and [1, 1, 1] on a line, so
    that every model of images trains on points. Points are float32 and not scaled to [−1, 1]: the generator must be
    unbounded.

    Arguments:
        world: The distribution; a `Ring` by default. (The default is no `Ring` itself, whose width the command line's
            parser would hand on to a `Gaussian` that is named in its place.)
        num_train: The number of training points.
        num_val: The number of validation points.
        num_test: The number of test points.
        batch_size: Points per batch and process.
        seed: Fixes the points and the order of the training points.
        on_device: Whether training points lie on the training device.
    """

    name = "points2d"

    def __init__(
        self,
        world: World | None = None,
        num_train: int = 100_000,
        num_val: int = 10_000,
        num_test: int = 10_000,
        batch_size: int = 256,
        seed: int = 0,
        on_device: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, on_device=on_device)
        self.save_hyperparameters(logger=False)
        if world is not None and isinstance(
            self.hparams.get("world"), World
        ):  # made in Python: a checkpoint holds plain data only
            described = {"class_path": f"{type(world).__module__}.{type(world).__name__}", "init_args": world.settings}
            self.hparams["world"] = described
        self.world = Ring() if world is None else world
        self.sizes = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))

    @property
    def image_shape(self) -> Shape:
        """The number of coordinates, 1, 1."""
        return (len(self.world.bounds), 1, 1)

    @property
    def class_names(self) -> None:
        """None: points carry no labels."""
        return None

    def check(self) -> None:
        """Looks whether the splits' sizes make sense.

        Raises:
            UserError: If one does not.
        """
        for split, num in self.sizes.items():
            least = 1 if split == "train" else 0
            if num < least:
                raise UserError(f"--data.num_{split} is {num}; it must be at least {least}")

    def _open(self, split: str) -> dict[str, Tensor]:
        # Each split from a generator of its own: none changes with the size of another.
        digest = hashlib.sha256(f"points of {split}, seed {self.seed}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        return {"image": self.world.sample(self.sizes[split], generator)[:, :, None, None]}

    def _hash(self, split: str) -> str:
        tensors: Any = self._source(split)
        return hash_tensors(tensors, self.name, split, repr(self.world))
