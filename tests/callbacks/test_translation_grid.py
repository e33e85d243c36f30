"""Grids of translations: what stands where, and that it is always the same images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer

from lit_gen.callbacks import SampleGrid
from lit_gen.callbacks.translation_grid import translation_grid
from lit_gen.datamodules import Sprites
from lit_gen.errors import UserError
from lit_gen.functional.label_colours import label_colours


class Negative(LightningModule):
    """Translates images to their negatives."""

    def translate(self, batch: Any) -> torch.Tensor:
        return -batch["source" if "source" in batch else "image"]


@pytest.fixture
def sprites(tmp_path: Path) -> Callable[..., Sprites]:
    random = numpy.random.default_rng(0)
    numpy.savez(
        tmp_path / "sprites.npz",
        images=random.integers(0, 256, (40, 3, 4, 3), dtype=numpy.uint8),
        segmentation=random.integers(0, 6, (40, 3, 4), dtype=numpy.uint8),
        factors=numpy.arange(40)[:, None].astype(numpy.uint8) % 2,
        factor_names=numpy.array(["hair"]),
    )
    return lambda **arguments: Sprites(str(tmp_path / "sprites.npz"), val_size=10, test_size=10, **arguments)


def tiles(grid: torch.Tensor, columns: int) -> torch.Tensor:
    """Takes a grid of 3×4 images apart, [rows, columns, C, 3, 4]."""
    rows = [grid[:, 2 + 5 * i : 5 + 5 * i] for i in range((grid.shape[1] - 2) // 5)]
    return torch.stack([torch.stack([row[:, :, 2 + 6 * j : 6 + 6 * j] for j in range(columns)]) for row in rows])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_source_output_and_target_of_the_first_held_out_images(
    sprites: Callable[..., Sprites], batch_size: int
) -> None:
    data = sprites(kind="paired")
    (batch,) = data.batches("val", 10)
    grid = translation_grid(Negative(), data, 4, batch_size, torch.device("cpu"))
    seen = tiles(grid, 6).view(4, 3, 3, 3, 4)
    assert torch.equal(seen[:, 0], batch["source"][:4])
    assert torch.equal(seen[:, 1], 255 - batch["source"][:4])
    assert torch.equal(seen[:, 2], batch["image"][:4])


def test_label_maps_are_painted_and_images_are_their_own_sources(sprites: Callable[..., Sprites]) -> None:
    data = sprites(kind="label_maps")
    (batch,) = data.batches("val", 10)
    seen = tiles(translation_grid(Negative(), data, 1, 8, torch.device("cpu")), 3)
    assert torch.equal(seen[0, 0], label_colours(batch["label_map"][:1])[0])
    data = sprites(kind="attributes")
    (batch,) = data.batches("val", 10)
    seen = tiles(translation_grid(Negative(), data, 1, 8, torch.device("cpu")), 2)
    assert torch.equal(seen[0, 0], batch["image"][0]) and torch.equal(seen[0, 1], 255 - batch["image"][0])


def test_a_model_of_attributes_shows_each_changed(
    sprites: Callable[..., Sprites], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Brighter(LightningModule):
        """Adds to an image what its wanted attributes say."""

        attribute_names, attribute_groups, changeable = ("hair=0", "hair=1", "hat"), ((0, 1), (2,)), (0, 1, 2)

        def translate(self, batch: Any) -> torch.Tensor:
            bits = batch["wanted"] @ torch.tensor([1.0, 2.0, 4.0])
            return (bits - 4)[:, None, None, None] / 4 * torch.ones_like(batch["image"])

    data = sprites(kind="attributes")
    transfer = data.on_after_batch_transfer

    def with_hats(batch: Any, dataloader_idx: int) -> Any:
        batch = transfer(batch, dataloader_idx)
        hair = batch["attributes"][:, :1]
        return {**batch, "attributes": torch.cat([hair, 1 - hair, hair], dim=1)}

    monkeypatch.setattr(data, "on_after_batch_transfer", with_hats)
    (batch,) = data.batches("val", 10)
    seen = tiles(translation_grid(Brighter(), data, 4, 3, torch.device("cpu")), 4)
    for row, image, hair in zip(seen, batch["image"], batch["attributes"][:, 0], strict=False):
        assert torch.equal(row[0], image)
        bits = (row[1:, 0, 0, 0] / 127.5 * 4).round().int().tolist()
        assert bits == ([1 + 4, 2 + 4, 1] if hair else [1, 2, 2 + 4])


def test_more_than_there_are_and_unpaired_ones(sprites: Callable[..., Sprites]) -> None:
    data = sprites(kind="unpaired", where_a={"hair": 0}, where_b={"hair": 1})
    grids = [translation_grid(Negative(), data, 50, size, torch.device("cpu")) for size in (2, 64)]
    assert torch.equal(*grids)
    assert grids[0].shape[0] == 3


def test_nan_is_one_clear_line(sprites: Callable[..., Sprites]) -> None:
    class Broken(Negative):
        def translate(self, batch: Any) -> torch.Tensor:
            return batch["source"] * torch.nan

    with pytest.raises(UserError, match="translations hold NaN: training has diverged"):
        translation_grid(Broken(), sprites(kind="paired"), 4, 4, torch.device("cpu"))


def test_the_callback_writes_them(
    sprites: Callable[..., Sprites], trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    class Still(Negative):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.weight.square()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    run = trainer(callbacks=[SampleGrid(every_n_steps=2, num_samples=4)], max_steps=3)
    run.fit(Still(), datamodule=sprites(kind="paired", batch_size=4))
    paths = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in paths] == [f"step_0000000{step}.png" for step in (0, 2, 3)]
    grids = [numpy.array(Image.open(path)) for path in paths]
    expected = translation_grid(Still(), sprites(kind="paired"), 4, 4, torch.device("cpu"))
    assert all((grid == expected.permute(1, 2, 0).numpy()).all() for grid in grids)
