from pathlib import Path

import numpy
import pytest
from PIL import Image

from lit_gen.functional.image_grid import image_grid


def images(path: str) -> numpy.ndarray:
    return numpy.load(path)["images"]


def test_the_three_outputs_show_the_same_images(lit_gen, trained):
    for output in ("a.npz", "folder", "deep/er/grid.png"):
        said = lit_gen("sample", "--ckpt_path", trained, "--num_samples", 6, "--output", output)
        assert (said.status, said.err) == (0, "")
    arrays = numpy.load("a.npz")
    assert arrays.files == ["images"]
    assert (arrays["images"].shape, arrays["images"].dtype) == ((6, 8, 8, 1), numpy.uint8)
    singles = [numpy.asarray(Image.open(path)) for path in sorted(Path("folder").iterdir())]
    assert numpy.array_equal(numpy.stack(singles), arrays["images"][..., 0])
    import torch

    grid = image_grid(torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2))
    assert numpy.array_equal(numpy.asarray(Image.open("deep/er/grid.png")), grid[0].numpy())
    assert not list(Path().rglob("*.tmp"))


def test_image_i_depends_on_the_seed_and_on_i_alone(lit_gen, trained):
    runs = {"a": (6, 6, 0), "b": (4, 3, 0), "c": (6, 6, 1)}
    for name, (num, batch_size, seed) in runs.items():
        lit_gen(
            *("sample", "--ckpt_path", trained, "--output", f"{name}.npz"),
            *("--num_samples", num, "--batch_size", batch_size, "--seed", seed),
        )
    assert numpy.abs(images("a.npz")[:4].astype(int) - images("b.npz")).max() <= 1
    assert not numpy.array_equal(images("a.npz"), images("c.npz"))


def test_averaged_and_raw_weights_differ(lit_gen, trained):
    for weights in ("ema", "raw"):
        lit_gen("sample", "--ckpt_path", trained, "--output", f"{weights}.npz", "--weights", weights)
    assert not numpy.array_equal(images("ema.npz"), images("raw.npz"))


def test_classes_are_taken_in_turn(lit_gen, conditional):
    def labels(*arguments: object) -> list[int]:
        said = lit_gen("sample", "--ckpt_path", conditional, "--num_samples", 5, "--output", "x.npz", *arguments)
        assert said.status == 0, said.err
        return numpy.load("x.npz")["labels"].tolist()

    assert labels() == [0, 1, 2, 3, 4]
    assert labels("--label", 3) == [3] * 5
    assert labels("--label", 0, 1, 2) == [0, 1, 2, 0, 1]
    for arguments, message in [((10,), "from 0 to 9"), (("nine",), "there is no class 'nine'")]:
        said = lit_gen("sample", "--ckpt_path", conditional, "--output", "y.png", "--label", *arguments)
        assert said.status == 2
        assert message in said.err


@pytest.mark.parametrize(("wanted", "num", "columns"), [((3, 5), 16, 4), ((0, 1, 2), 9, 3), ((1,), 9, 3)])
def test_few_classes_make_a_square_too(lit_gen, conditional, wanted, num, columns):
    """Every column is of one class, and two classes are no tower of 2 × 8."""
    said = lit_gen("sample", "--ckpt_path", conditional, "--num_samples", num, "--output", "z.png", "--label", *wanted)
    assert said.status == 0, said.err
    with Image.open("z.png") as grid:
        width, height = grid.size
    assert width == height == columns * (8 + 2) + 2


def test_a_full_folder_is_left_alone(lit_gen, trained):
    Path("folder").mkdir()
    Path("folder/mine.png").touch()
    arguments = ("sample", "--ckpt_path", trained, "--num_samples", 3, "--output", "folder")
    said = lit_gen(*arguments)
    assert said.status == 2
    assert "not empty" in said.err
    assert [path.name for path in Path("folder").iterdir()] == ["mine.png"]
    lit_gen(*arguments, "--overwrite")
    lit_gen(*arguments, "--overwrite", "--num_samples", 2)
    assert sorted(path.name for path in Path("folder").iterdir()) == ["000000.png", "000001.png", "mine.png"]


@pytest.mark.parametrize("wanted", ["last", "best"])
def test_last_and_best(lit_gen, trained, wanted):
    said = lit_gen("sample", "--ckpt_path", wanted, "--runs", trained.parent.parent, "--output", "x.png")
    assert said.status == 0, said.err


@pytest.mark.parametrize("name", ["grid.PNG", "grid.jpg", "samples.npy"])
def test_other_formats_are_refused_instead_of_becoming_folders(lit_gen, trained, name):
    said = lit_gen("sample", "--ckpt_path", trained, "--output", name)
    assert said.status == 2
    assert "written as .png" in said.err
    assert not Path(name).exists()


def test_truncation_takes_variety_away(lit_gen, trained):
    def spread(name: str, *arguments: object) -> float:
        said = lit_gen("sample", "--ckpt_path", trained, "--num_samples", 32, "--output", f"{name}.npz", *arguments)
        assert said.status == 0, said.err
        return float(images(f"{name}.npz").astype(float).std(axis=0).mean())

    assert spread("near", "--truncation", 0.01) < 0.2 * spread("all")
    said = lit_gen("sample", "--ckpt_path", trained, "--output", "x.png", "--truncation", 0)
    assert said.status == 2
    assert "must be above 0" in said.err
    said = lit_gen("sample", "--ckpt_path", trained, "--output", "x.png", "--temperature", 0.5)
    assert said.status == 2
    assert "--temperature is no setting of GAN's samples" in said.err


def test_images_that_are_drawn_pixel_by_pixel_can_be_watched(lit_gen, tmp_path, monkeypatch):
    from functools import partial

    import torch
    from pytorch_lightning import Trainer

    from lit_gen.commands import watching
    from lit_gen.models import Autoregressive
    from lit_gen.nn.gated_pixelcnn import GatedPixelCNN

    torch.manual_seed(0)
    model = Autoregressive((1, 6, 5), network=partial(GatedPixelCNN, features=4, blocks=1))
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    trainer.strategy.connect(model)
    checkpoint = tmp_path / "it.ckpt"
    trainer.save_checkpoint(checkpoint)
    monkeypatch.setattr(watching, "_SECONDS", 0.0)
    grids = []
    write = watching.write_png
    monkeypatch.setattr(watching, "write_png", lambda image, path: (grids.append(image.clone()), write(image, path)))
    how = ("sample", "--ckpt_path", checkpoint, "--num_samples", 3, "--batch_size", 2)
    assert lit_gen(*how, "--output", "x.npz").status == 0 and not grids
    said = lit_gen(*how, "--output", "x.png", "--watch")
    assert (said.status, said.err) == (0, "")
    assert len(grids) == 2 * 6 and all(grid.shape == grids[0].shape for grid in grids)
    last = image_grid(torch.from_numpy(images("x.npz")).permute(0, 3, 1, 2))
    assert torch.equal(grids[-1], last) and numpy.array_equal(numpy.asarray(Image.open("x.png")), last[0].numpy())
    filled = [int((grid != 0).sum()) for grid in grids]
    assert filled[0] < filled[-1]
    assert "--watch is for a grid" in lit_gen(*how, "--output", "y.npz", "--watch").err
    cold = lit_gen(*how, "--output", "cold.npz", "--temperature", 0.01)
    assert cold.status == 0 and not numpy.array_equal(images("cold.npz"), images("x.npz"))
