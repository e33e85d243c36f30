"""Points of toy worlds from the command line: a run, its numbers, its samples, and what points are not."""

import csv
from pathlib import Path

import numpy
import pytest

WORLD = """
trainer: {max_steps: 6, val_check_interval: 3, log_every_n_steps: 2, accelerator: cpu}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DenseGenerator, init_args: {width: 8, output: linear}}
    discriminator: {class_path: DenseDiscriminator, init_args: {width: 8}}
    latent_dim: 4
data:
  class_path: Points2D
  init_args: {world: {class_path: Ring, init_args: {num_modes: 5}}, num_train: 100, num_val: 50, batch_size: 16}
points: {every_n_steps: 3, num_points: 100, num_drawn: 50}
"""


@pytest.fixture
def run(lit_gen) -> Path:
    """The folder of a finished run on a ring of five."""
    Path("world.yaml").write_text(WORLD)
    said = lit_gen("fit", "--config", "world.yaml")
    assert said.status == 0, said.err
    assert "Evaluation" not in said.err and "fid" not in said.out
    return Path("runs/world/version_0")


def test_a_run_leaves_pictures_numbers_and_the_best_by_divergence(lit_gen, run) -> None:
    assert sorted(path.name for path in (run / "samples").iterdir()) == [
        f"step_0000000{step}.png" for step in (0, 3, 6)
    ]
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["points/kl"]]
    assert [row["step"] for row in rows] == ["3", "6"] and not (run / "evaluation").exists()
    assert (run / "checkpoints" / "best.ckpt").is_file()
    tested = lit_gen("test", "--ckpt_path", run)
    assert tested.status == 0 and "points/js" in tested.out, tested.err
    more = lit_gen("fit", "--config", "world.yaml", "--ckpt_path", "last", "--trainer.max_steps", 9)
    assert more.status == 0 and (run / "samples" / "step_00000009.png").is_file(), more.err


def test_points_are_written_as_they_are(lit_gen, run) -> None:
    for size in (7, 40):
        said = lit_gen(
            "sample", "--ckpt_path", run, "--num_samples", 40, "--batch_size", size, "--output", f"{size}.npz"
        )
        assert said.status == 0, said.err
    seven, forty = (numpy.load(f"{size}.npz")["points"] for size in (7, 40))
    assert seven.shape == (40, 2) and seven.dtype == numpy.float32
    assert numpy.allclose(seven, forty, atol=1e-5) and len(numpy.unique(seven)) > 60


def test_points_are_no_pictures(lit_gen, run) -> None:
    for output in ("grid.png", "folder"):
        said = lit_gen("sample", "--ckpt_path", run, "--output", output)
        assert said.status == 2 and "write them to a .npz" in said.err
        assert not Path(output).exists()
    said = lit_gen("sample", "--ckpt_path", run, "--label", 3, "--output", "labelled.npz")
    assert said.status == 2 and "is unconditional" in said.err and not Path("labelled.npz").exists()
    said = lit_gen("evaluate", "--ckpt_path", run)
    assert said.status == 2 and "lit-gen test" in said.err
    for kind in ("interpolate", "traverse", "directions", "neighbours"):
        said = lit_gen("diagnose", kind, "--ckpt_path", run, "--output", kind)
        assert said.status == 2 and "points, which are no pictures" in said.err, said.err
        assert not Path(kind).exists()


def test_a_world_has_its_own_defaults(lit_gen) -> None:
    """The parser keeps arguments of the same name when it replaces a default object by one of another class."""
    for world, std in (("Gaussian", "1.0"), ("Mixture1D", "0.5")):
        said = lit_gen("fit", "--model", "GAN", "--data", "Points2D", "--data.world", world, "--print_config")
        assert said.status == 0 and f"std: {std}" in said.out, said.err


def test_an_unknown_world_gets_the_nearest_name(lit_gen) -> None:
    Path("world.yaml").write_text(WORLD)
    said = lit_gen("fit", "--config", "world.yaml", "--data.world", "Rings")
    assert said.status == 2 and "did you mean 'Ring'" in said.err
