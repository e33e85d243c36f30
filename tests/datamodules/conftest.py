"""Small folders of images for the data of translation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Fills a folder with images of one colour each: the number of an image is its red value."""

    def fill(name: str, size: int, start: int = 0, shape: tuple[int, int] = (9, 7), suffix: str = ".png") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(size):
            colour = (start + number, 0, 255 - start - number)
            Image.new("RGB", shape, colour).save(folder / f"{number:03}{suffix}")
        return folder

    return fill


@pytest.fixture
def gradients(tmp_path: Path) -> Callable[..., Path]:
    """Fills folders with photos, their label maps of four classes as palette images, and instances of 16 bit."""

    def fill(size: int, shape: tuple[int, int] = (8, 12)) -> Path:
        random = np.random.default_rng(0)
        for folder in ("photos", "labels", "instances"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for number in range(size):
            index = random.integers(0, 4, shape, dtype=np.uint8)
            pixels = np.stack([index * 60, index * 60, 255 - index * 60], axis=-1)
            Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:03}.png")
            label = Image.fromarray(index, "P")
            label.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255] + [9] * 756)
            label.save(tmp_path / "labels" / f"{number:03}.png")
            Image.fromarray(index.astype(np.uint16) * 1000).save(tmp_path / "instances" / f"{number:03}.png")
        return tmp_path

    return fill
