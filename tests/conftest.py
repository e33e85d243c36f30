"""Fixtures for the whole suite."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real data sets; a test that needs one is skipped where there is none, but not in CI."""
    root = os.environ.get("LIT_GEN_DATA")
    if not root and os.environ.get("CI") == "true":
        pytest.fail("CI must set LIT_GEN_DATA to the folder with the real data sets")
    if not root or not Path(root).is_dir():
        pytest.skip("LIT_GEN_DATA does not name a folder with real data sets")
    return Path(root)


def _write_idx_files(root: Path, random: numpy.random.Generator) -> None:
    """Writes the files of MNIST and Fashion-MNIST into a data root: ten images, over and over, one for each class."""
    for name in ("MNIST", "FashionMNIST"):
        raw = root / name / "raw"
        raw.mkdir(parents=True)
        for part, num in (("train", 60000), ("t10k", 10000)):
            labels = numpy.arange(num, dtype=numpy.uint8) % 10
            images = numpy.zeros((num, 28, 28), numpy.uint8)
            images[:, 4:24, 4:24] = random.integers(0, 256, (10, 20, 20), dtype=numpy.uint8)[labels]
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
                (raw / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())


@pytest.fixture(scope="session")
def write_idx_files() -> Callable[[Path, numpy.random.Generator], None]:
    """Writes the official files of MNIST and Fashion-MNIST, mostly black, into a data root."""
    return _write_idx_files


def _write_sprites(root: Path, random: numpy.random.Generator) -> None:
    (root / "lpc_sprites").mkdir()
    numpy.savez(
        root / "lpc_sprites" / "sprites64.npz",
        images=random.integers(0, 256, (120, 64, 64, 3), dtype=numpy.uint8),
        segmentation=random.integers(0, 6, (120, 64, 64), dtype=numpy.uint8),
        factors=(numpy.arange(120)[:, None] // numpy.array([20, 4, 2, 1, 1, 1]) % 6).astype(numpy.uint8),
        factor_names=numpy.array(["body", "bottomwear", "topwear", "hair", "action", "direction"]),
    )


@pytest.fixture(scope="session")
def write_sprites() -> Callable[[Path, numpy.random.Generator], None]:
    """Writes a file of noise and factors, in the form of the sprites', into a data root."""
    return _write_sprites
