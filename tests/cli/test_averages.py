"""Averages of several half-lives at the command line: kept by fit, chosen by name, named in what is scored."""

import json
from pathlib import Path

import numpy
import pytest
import torch


def test_a_run_of_several_half_lives(lit_gen):
    small = ("--trainer.max_steps", 8, "--trainer.val_check_interval", 4, "--trainer.accelerator", "cpu")
    few = ("--data.batch_size", 16, "--samples.num_samples", 4, "--evaluation.num_samples", 40)
    several = (
        "--ema.ramp_up",
        "null",
        "--ema.half_life",
        100,
        "--ema.half_lives",
        "[10, 2000]",
        "--evaluation.weights",
        "ema:10",
    )
    model = ("--model.generator.features", 4, "--model.discriminator.features", 4, "--model.latent_dim", 8)
    said = lit_gen("fit", "--config", "gan/dcgan_digits", *model, *small, *few, *several)
    assert said.status == 0, said.err
    (run,) = Path("runs").glob("*/version_0")
    scored = [json.loads(path.read_text())["protocol"]["weights"] for path in (run / "evaluation").glob("*.json")]
    assert scored == ["ema:10", "ema:10"]
    images = []
    for weights in ("ema", "ema:10", "ema:2e3", "raw"):
        said = lit_gen("sample", "--ckpt_path", run, "--output", "x.npz", "--num_samples", 4, "--weights", weights)
        assert said.status == 0, said.err
        images.append(numpy.load("x.npz")["images"])
    assert all(not numpy.array_equal(a, b) for i, a in enumerate(images) for b in images[:i])

    short = ("--num_samples", 40, "--device", "cpu", "--metrics", "fid")
    said = lit_gen("evaluate", "--ckpt_path", run, *short, "--weights", "ema:2000", "--output", "eval.json")
    assert said.status == 0 and "ema:2000 weights" in said.out
    assert json.loads(Path("eval.json").read_text())["protocol"]["weights"] == "ema:2000"
    said = lit_gen("test", "--ckpt_path", run, "--trainer.accelerator", "cpu")
    assert said.status == 0, said.err
    assert json.loads((run / "evaluation" / "test.json").read_text())["protocol"]["weights"] == "ema:10"

    last = run / "checkpoints" / "last.ckpt"
    rank = ("compare", last, "--output", "all.csv", "--evaluate", *short, "--weights", "ema:10")
    said = lit_gen(*rank)
    assert said.status == 0 and "ema:10" in Path("all.csv").read_text()
    said = lit_gen("sample", "--ckpt_path", run, "--output", "y.npz", "--weights", "ema:11")
    assert said.status == 2 and "it has raw, ema, ema:10, ema:2000" in said.err


@pytest.mark.parametrize("command", ["test", "evaluate"])
def test_weights_without_an_average_are_called_raw(lit_gen, trained, command):
    """Also where no config.yaml says that the run kept none."""
    checkpoint = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    del checkpoint["callbacks"]["EMA"]
    torch.save(checkpoint, "alone.ckpt")
    where = {"test": ("--trainer.accelerator", "cpu", "--evaluation.num_samples", 40)}
    where["evaluate"] = ("--device", "cpu", "--num_samples", 40, "--metrics", "fid")
    said = lit_gen(command, "--ckpt_path", "alone.ckpt", *where[command])
    assert said.status == 0 and "40 images, raw weights" in said.out
