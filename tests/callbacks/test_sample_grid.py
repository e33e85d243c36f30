"""Sample grids: pixels, layout, files, and no trace left behind."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_gen.callbacks import EMA, SampleGrid, sample_grid
from lit_gen.callbacks.reconstruction_grid import reconstruction_grid
from lit_gen.errors import UserError
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.png import write_png
from lit_gen.functional.quantize import from_uint8, to_uint8
from lit_gen.models import Autoregressive
from lit_gen.nn.gated_pixelcnn import GatedPixelCNN
from lit_gen.training.seeding import generators


def test_tiles_stand_where_they_belong() -> None:
    images = torch.arange(5, dtype=torch.uint8).add(1).view(5, 1, 1, 1).expand(5, 1, 2, 3).contiguous()
    grid = image_grid(images, columns=3, padding=1, background=9)
    assert grid.shape == (1, 2 * 3 + 1, 3 * 4 + 1)
    rows = ["9999999999999", "9111922293339", "9111922293339", "9999999999999", "9444955599999", "9444955599999"]
    rows.append(rows[0])
    assert ["".join(map(str, row)) for row in grid[0].tolist()] == rows
    assert torch.equal(image_grid(images[:1], padding=0), images[0])
    assert image_grid(images.expand(5, 5, 2, 3)).shape[0] == 3 and image_grid(images.expand(5, 2, 2, 3)).shape[0] == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_png_holds_the_pixels(channels: int, tmp_path: Path) -> None:
    image = torch.randint(0, 256, (channels, 5, 7), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    write_png(image, tmp_path / "new" / "image.png")
    read = torch.from_numpy(numpy.array(Image.open(tmp_path / "new" / "image.png")))
    assert torch.equal(read.view(5, 7, channels).permute(2, 0, 1), image)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.png"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.png"
    write_png(torch.zeros(1, 2, 2, dtype=torch.uint8), path)
    before = path.read_bytes()

    def fail(self: Any, file: Any, **arguments: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="full"):
        write_png(torch.ones(1, 2, 2, dtype=torch.uint8), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_files_and_events(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    model, callback = gan(), SampleGrid(every_n_steps=2, num_samples=6)
    loggers = [TensorBoardLogger(tmp_path, "run"), CSVLogger(tmp_path, "csv")]
    run = trainer(callbacks=[EMA(60.0), callback], logger=loggers, max_steps=5)
    run.fit(model, datamodule=digits())
    folder = tmp_path / "run" / "version_0"
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [
        f"step_0000000{step}.png" for step in (0, 2, 4, 5)
    ]
    grid = torch.from_numpy(numpy.array(Image.open(folder / "samples" / "step_00000005.png")))
    assert torch.equal(grid, callback.grid(run, model)[0])
    with run.callbacks[0].swapped(model):  # type: ignore[attr-defined]
        model.eval()
        expected = to_uint8(model.sample(6, generator=generators(0, range(6))))
    assert (grid.int() - image_grid(expected, 3)[0].int()).abs().max() <= 1
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Images("samples")] == [0, 2, 4, 5]
    assert not (tmp_path / "samples").exists()


def test_without_a_logger_the_root_folder_is_the_run_folder(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    trainer(callbacks=[SampleGrid(every_n_steps=0, first=False)], max_steps=3).fit(gan(), datamodule=digits())
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step_00000003.png"]


@pytest.mark.parametrize("conditional", [False, True])
def test_the_batch_size_does_not_show(
    conditional: bool, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]
) -> None:
    model, run = gan(conditional=conditional), trainer(max_steps=4)
    run.fit(model, datamodule=digits())
    grids = [SampleGrid(num_samples=23, batch_size=size).grid(run, model).int() for size in (64, 23, 5, 1)]
    # The last bit of a convolution may depend on the batch, and with it the rounding of a pixel.
    assert all((grid - grids[0]).abs().max() <= 1 and (grid != grids[0]).float().mean() < 0.01 for grid in grids)
    other = SampleGrid(num_samples=23, seed=1).grid(run, model)
    assert (other != grids[0]).any()


def test_a_column_per_class(gan: Callable[..., Any], trainer: Callable[..., Trainer]) -> None:
    class ByLabel(LightningModule):
        image_shape, num_classes = (1, 1, 1), 3

        def sample(self, num: int, label: Any = None, generator: Any = None) -> torch.Tensor:
            assert len(label) == len(generator) == num
            return (label / 127.5 - 1).view(num, 1, 1, 1)

    model, run = ByLabel(), trainer()
    grid = SampleGrid(num_samples=8, batch_size=2).grid(run, model)
    assert torch.equal(grid[0, 2::3, 2::3], torch.tensor([[0, 1, 2], [0, 1, 2]], dtype=torch.uint8))
    model.num_classes = 50
    grid = SampleGrid(num_samples=4).grid(run, model)
    assert torch.equal(grid[0, 2::3, 2::3], torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8))


def test_a_grid_that_is_drawn_pixel_by_pixel_fills_row_by_row(
    tmp_path: Path, digits: Any, trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = Autoregressive((1, 28, 28), network=partial(GatedPixelCNN, features=4, blocks=1))
    written: list[torch.Tensor] = []
    monkeypatch.setattr(sample_grid, "write_png", lambda grid, path: (written.append(grid), write_png(grid, path)))
    monkeypatch.setattr(sample_grid, "_SECONDS", 0.0)
    grids = SampleGrid(num_samples=3, batch_size=2, first=False)
    run = trainer(callbacks=[grids], max_steps=1)
    run.fit(model, datamodule=digits())
    assert len(written) == 2 * 28 + 1 and torch.equal(written[-1], grids.grid(run, model))
    drawn = [int((grid != 0).sum()) for grid in written]
    assert drawn == sorted(drawn) and drawn[0] < drawn[20] < drawn[27] < drawn[28 + 20]
    # Of the first two images, side by side above the third, five rows of pixels are there.
    assert torch.equal(written[4][:, : 2 + 5], written[-1][:, : 2 + 5]) and written[-1][:, 2 + 5 : 30].any()
    assert not written[4][:, 2 + 5 :].any()
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["step_00000001.png"]


def test_no_trace(gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer]) -> None:
    model, run = gan(), trainer(callbacks=[EMA(60.0, buffers="reestimate")], max_steps=2)
    run.fit(model, datamodule=digits())
    model.train()
    model.generator.layers[1].eval()
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = torch.get_rng_state(), numpy.random.get_state()[1].copy(), random.getstate()
    SampleGrid().grid(run, model)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == numpy.random.get_state()[1]).all()
    assert before[2] == random.getstate()
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_a_model_that_does_not_sample_gets_no_grids(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], monkeypatch: Any
) -> None:
    model = gan()
    monkeypatch.delattr(type(model), "sample")
    trainer(callbacks=[SampleGrid(every_n_steps=1)], max_steps=2).fit(model, datamodule=digits())
    assert not (tmp_path / "samples").exists()


def test_nan_is_one_clear_line(gan: Callable[..., Any], trainer: Callable[..., Trainer]) -> None:
    model = gan()
    torch.nn.init.constant_(model.generator.layers[0].weight, torch.nan)
    with pytest.raises(UserError, match="samples hold NaN: training has diverged"):
        SampleGrid().grid(trainer(), model)


def test_bad_arguments() -> None:
    with pytest.raises(UserError, match="num_samples"):
        SampleGrid(num_samples=0)


class Halving(LightningModule):
    """Gives images back with half of their contrast; it cannot be trained, and draws black images."""

    image_shape, num_classes = (1, 8, 8), 10

    def reconstruct(self, image: torch.Tensor, label: Any = None, generator: Any = None) -> torch.Tensor:
        assert len(label) == len(generator) == len(image)
        self.seeds = [*getattr(self, "seeds", []), *(one.initial_seed() for one in generator)]
        return image / 2


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_reconstructions_are_beside_their_images(batch_size: int, digits: Any, trainer: Callable[..., Trainer]) -> None:
    data, model = digits(), Halving()
    (batch,) = data.batches("val", 50)
    grid = reconstruction_grid(model, data, 5, 0, batch_size, torch.device("cpu"))
    image = batch["image"][:5]
    beside = torch.stack([image, to_uint8(from_uint8(image) / 2)], dim=1).flatten(0, 1)
    assert torch.equal(grid, image_grid(beside, 4))
    assert model.seeds == [one.initial_seed() for one in generators(0, range(5))]


def test_a_model_that_reconstructs_gets_grids_of_it(
    tmp_path: Path, gan: Callable[..., Any], digits: Any, trainer: Callable[..., Trainer], monkeypatch: Any
) -> None:
    model = gan(conditional=True)
    monkeypatch.setattr(type(model), "reconstruct", Halving.reconstruct, raising=False)
    trainer(callbacks=[EMA(60.0), SampleGrid(every_n_steps=2, num_samples=10)], max_steps=2).fit(
        model, datamodule=digits()
    )
    for folder in ("samples", "reconstructions"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["step_00000000.png", "step_00000002.png"]


def test_nan_in_reconstructions_is_one_clear_line(digits: Any) -> None:
    class Broken(Halving):
        def reconstruct(self, image: torch.Tensor, label: Any = None, generator: Any = None) -> torch.Tensor:
            return image * torch.nan

    with pytest.raises(UserError, match="reconstructions hold NaN: training has diverged"):
        reconstruction_grid(Broken(), digits(), 4, 0, 4, torch.device("cpu"))


def test_a_file_that_cannot_be_written_leaves_the_model_as_it_was(
    digits: Any, gan: Callable[..., Any], trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(grid: torch.Tensor, path: Path) -> None:
        raise OSError("the disk is full")

    model, ema = gan(), EMA(60.0)
    monkeypatch.setattr(sample_grid, "write_png", fail)
    monkeypatch.setattr(sample_grid, "_SECONDS", 0.0)
    with pytest.raises(OSError, match="full"):
        trainer(callbacks=[ema, SampleGrid(every_n_steps=2, first=False)], max_steps=2).fit(model, datamodule=digits())
    assert not ema._inside and torch.is_grad_enabled()
