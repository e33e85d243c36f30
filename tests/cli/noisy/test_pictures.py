"""Samples that come out of noise, and images that drown in it."""

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from perfect_denoiser import perfect
from PIL import Image

from lit_gen.commands.diagnose import denoising, forward_process, noisy
from lit_gen.datamodules import Digits
from lit_gen.functional.noise_schedules import EDMSchedule
from lit_gen.models import GAN
from lit_gen.training.loading import load
from lit_gen.training.seeding import generators


def column(rows: Any, name: str) -> torch.Tensor:
    return torch.tensor([float(row[name]) for row in rows], dtype=torch.float64)


def test_the_last_stage_is_the_image_that_sample_draws(see, lit_gen, images):
    _, rows = see("denoising", images, "--images", 0, 3, 11, "--columns", 4, "--frames", 5)
    assert [int(row["step"]) for row in rows[:4]] == [0, 3, 7, 10]
    assert [int(row["label"]) for row in rows[::4]] == [0, 3, 1]
    assert [float(row["to_end"]) for row in rows[3::4]] == [0, 0, 0] and float(rows[0]["to_end"]) > 1
    assert float(rows[0]["t"]) == 1 and rows[3]["snr"] == "inf" and column(rows[:4], "snr").diff().min() > 0
    with Image.open("out/denoising.gif") as video:
        frames = []
        for i in range(video.n_frames):
            video.seek(i)
            frames.append(numpy.asarray(video.convert("L")).copy())
            if i == video.n_frames - 1:
                assert video.info["duration"] >= 1000 or video.n_frames == 25  # the last one is held
    # Three images side by side above their guesses, 12 times enlarged; at the end both are the samples.
    assert frames[0].shape == (12 * (2 * 10 + 2), 12 * (3 * 10 + 2))
    said = lit_gen("sample", "--ckpt_path", images, "--num_samples", 12, "--output", "x.npz")
    assert said.status == 0, said.err
    drawn = numpy.load("x.npz")["images"][[0, 3, 11], :, :, 0].astype(int)
    small = frames[-1][6::12, 6::12].astype(int)
    for row in range(2):
        for i in range(3):
            shown = small[2 + 10 * row : 10 + 10 * row, 2 + 10 * i : 10 + 10 * i]
            assert abs(shown - drawn[i]).max() <= 1
    assert abs(frames[0].astype(int) - frames[-1].astype(int)).mean() > 5


def test_the_seed_and_the_label_decide_what_is_seen(see, images):
    tables = [
        see("denoising", images, "--images", 5, "--frames", 0, *more)[1]
        for more in ((), (), ("--seed", 1), ("--label", 5), ("--label", 2), ("--weights", "raw"))
    ]
    assert tables[0] == tables[1] == tables[3] and not Path("out/denoising.gif").exists()
    for other in (2, 4, 5):
        assert tables[other] != tables[0]


def test_stages_of_a_deterministic_sampler_are_what_generate_makes_of_the_noise():
    model = perfect((3, 4, 6), EDMSchedule(), (0.1, 0.2, 0.3))
    stages = denoising._watched(model, [4, 7], None, 0, {0, 4})
    z = model.latents(2, generators(0, (4, 7)))
    assert torch.equal(stages[4].noisy, noisy.picture(model, model.generate(z)))
    # Noise of a deviation of 80 is shown as if it were 1, and the guess of pure noise is the mean.
    assert torch.equal(stages[0].noisy, noisy.picture(model, z.view(2, 3, 4, 6)))
    mean = stages[0].guessed.float().mean(dim=(0, 2, 3)) / 127.5 - 1
    assert mean.tolist() == pytest.approx([0.1, 0.2, 0.3], abs=0.02)


def test_the_strip_of_real_images_says_its_ratios(see, images, points):
    _, rows = see("forward_process", images, "--images", 4, 2, "--columns", 5)
    alpha, sigma = column(rows, "alpha"), column(rows, "sigma")
    assert rows[0]["snr"] == "inf" and (float(rows[0]["alpha"]), float(rows[0]["sigma"])) == (1, 0)
    torch.testing.assert_close(column(rows[1:], "snr"), (alpha / sigma)[1:] ** 2, rtol=1e-4, atol=0)
    wanted = load(images / "checkpoints/last.ckpt").noise_schedule.at(column(rows[1:], "t"))
    torch.testing.assert_close(alpha[1:], wanted[0], rtol=1e-5, atol=1e-6)
    assert len(see("forward_process", points, "--columns", 3)[1]) == 3
    assert "has images 0 to" in see("forward_process", images, "--images", 9999, status=2)[0].err


def test_a_model_of_something_else_than_pixels_is_seen_in_pixels(see, images, monkeypatch):
    """Its x are the images upside down and twice as large."""
    model = perfect((1, 8, 8), EDMSchedule())
    model.observed = lambda batch: (2 * batch["image"].flip(2), None)
    model.shown = lambda x: x.flip(2) / 2
    strips, draw = [], forward_process.show_strips
    monkeypatch.setattr(noisy, "load_model", lambda *_: model)
    monkeypatch.setattr(
        forward_process, "show_strips", lambda shown, *names: strips.append(shown) or draw(shown, *names)
    )
    see("forward_process", images, "--images", 4, 2, "--columns", 3)
    real = next(iter(Digits(image_size=None).batches("test", 2000)))["image"][[4, 2]]
    assert abs(strips[0][:, 0].int() - real.int()).max() <= 1
    assert strips[0].shape == (2, 3, 1, 8, 8)
    # Noise of variance 1, halved: 0.4 from 0 on average.
    assert 45 < (strips[0][:, -1].float() - 127.5).abs().mean() < 56
    _, rows = see("noise_levels", images, "--num_images", 10, "--levels", 3)
    assert float(rows[0]["gaussian"]) > 4 * 0.1  # the variance of twice the images


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("denoising", ("--images", -1), "from 0 up"),
        ("denoising", ("--label", 11), "from 0 to 9"),
        ("denoising", ("--columns", 1), "--columns is 1, and must be at least 2"),
        ("noise_levels", ("--levels", 1), "--levels is 1, and must be at least 2"),
        ("noise_levels", ("--data.image_size", 16), "of shape (1, 16, 16), but the model draws"),
        ("trajectories", (), "see 'lit-gen diagnose denoising'"),
        ("score_field", (), "see 'lit-gen diagnose denoising'"),
    ],
)
def test_mistakes_about_pictures(see, images, kind, arguments, message):
    assert message in see(kind, images, *arguments, status=2)[0].err


@pytest.mark.parametrize("kind", ["denoising", "forward_process", "noise_levels", "schedules"])
def test_other_models_are_told_what_is_needed(see, images, monkeypatch, kind):
    monkeypatch.setattr(noisy, "load_model", lambda *_: GAN((1, 8, 8)))
    said, _ = see(kind, images, status=2)
    assert "GAN of" in said.err and "as diffusion does" in said.err


def test_weights_that_diverged_are_told(see, images, monkeypatch):
    model = load(images / "checkpoints/last.ckpt")
    with torch.no_grad():
        model.network.last.weight.fill_(math.nan)
    monkeypatch.setattr(noisy, "load_model", lambda *_: model)
    for kind in ("denoising", "noise_levels"):
        assert "diverged" in see(kind, images, status=2)[0].err
