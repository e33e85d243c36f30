"""A stand-in model whose encoder is known, and sprites whose factors are."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule
from torch import nn

from lit_gen.commands.diagnose import encoded, features, latents, reconstructions


class Coder(LightningModule):
    """Encodes by the rows of a matrix with orthonormal rows, and decodes by its transpose."""

    def __init__(self, image_shape: tuple[int, int, int], weight: torch.Tensor, num_classes: int | None = None) -> None:
        super().__init__()
        self.image_shape, self.num_classes = image_shape, num_classes
        self.weight = nn.Parameter(weight.float())
        self.told: list[Any] = []

    def encode(self, image: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        assert (label is None) == (self.num_classes is None)
        return image.flatten(1) @ self.weight.T

    def generate(self, z: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        self.told += [] if label is None else label.tolist()
        return (z @ self.weight).unflatten(1, self.image_shape)

    def reconstruct(self, image: torch.Tensor, label: Any = None, generator: Any = None) -> torch.Tensor:
        assert len(generator) == len(image)
        return self.generate(self.encode(image, label), label)


class Linear(Coder):
    """The same with a distribution of latents."""

    def latents(self, num: int, generator: Any = None) -> torch.Tensor:
        return torch.randn(num, len(self.weight), generator=generator[0])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Makes every diagnosis see a model in place of the checkpoint's."""

    def use(model: Any) -> Any:
        for module in (encoded, latents, reconstructions):
            monkeypatch.setattr(module, "load_model", lambda *_: model.eval())
        monkeypatch.setattr(features, "build_model", lambda *_: Linear(model.image_shape, torch.randn(4, 64) / 8))
        return model

    return use


@pytest.fixture
def linear(stand_in: Callable[[Any], Any]) -> Callable[..., Coder]:
    """Sees to it that images of 8×8 pixels are encoded in so many numbers."""

    def use(size: int, kind: type[Coder] = Linear, **arguments: Any) -> Coder:
        weight = torch.linalg.qr(torch.randn(64, size, generator=torch.Generator().manual_seed(0))).Q.T
        return stand_in(kind((1, 8, 8), weight, **arguments))

    return use


@pytest.fixture
def coder(linear: Callable[..., Coder]) -> Callable[..., Coder]:
    """Like `linear`, but without a distribution of latents."""
    return lambda size, **arguments: linear(size, Coder, **arguments)


@pytest.fixture
def diagnose(lit_gen, trained):
    """``lit-gen diagnose`` into the folder ``out``."""

    def run(kind: str, *arguments: object, status: int = 0):
        said = lit_gen("diagnose", kind, *arguments, "--ckpt_path", trained, "--output", "out")
        assert said.status == status, said.err
        if status:
            assert said.err.count("\n") == 1 and not Path("out").exists(), said.err
        return said

    return run


@pytest.fixture
def table():
    def read(name: str) -> list[dict[str, str]]:
        with open(f"out/{name}", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def check_files():
    """Looks whether the folder ``out`` has these files, and the pictures show something."""

    def check(*names: str) -> None:
        assert sorted(path.name for path in Path("out").iterdir()) == sorted(names)
        for name in names:
            if name.endswith((".png", ".gif")):
                with Image.open(f"out/{name}") as image:
                    image.load()
                    assert len(numpy.unique(numpy.asarray(image.convert("L")))) > 5

    return check
