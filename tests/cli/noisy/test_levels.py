"""Errors and losses at levels of noise, and the schedules that say what the levels are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from perfect_denoiser import perfect
from PIL import Image

from lit_gen.commands.classes import class_names, import_all
from lit_gen.commands.diagnose.noise_levels import density, levels_of, measured, widths
from lit_gen.commands.diagnose.schedules import SHIPPED
from lit_gen.functional.noise_schedules import CosineSchedule, RectifiedFlowSchedule
from lit_gen.functional.time_distribution import UniformTime


def column(rows: Any, name: str) -> torch.Tensor:
    return torch.tensor([float(row[name]) for row in rows], dtype=torch.float64)


def test_a_perfect_denoiser_has_the_losses_of_the_closed_form():
    schedule, std, num = CosineSchedule(), 0.5, 200
    model = perfect((1, 8, 8), schedule, std=std, time_distribution=UniformTime())
    x = std * torch.randn(num, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t = levels_of(schedule, 7)
    found = measured(model, x, None, range(num), t, 0, 64)
    alpha, sigma = schedule.at(t)
    wanted = std**2 * sigma**2 / (alpha**2 * std**2 + sigma**2)
    torch.testing.assert_close(found["data"], wanted, rtol=0.05, atol=0)  # 12,800 squares: a deviation of 1.3 %
    torch.testing.assert_close(found["loss"], found["data"], rtol=1e-5, atol=0)  # it predicts the data
    torch.testing.assert_close(found["noise"], (alpha / sigma) ** 2 * found["data"], rtol=2e-2, atol=1e-7)


def test_shares_of_training_are_a_density():
    """Uniform times of straight lines have the log-SNR λ = −2 logit t: p(λ) = s (1 − s) / 2, s = sigmoid(λ/2)."""
    schedule = RectifiedFlowSchedule()
    log_snr = schedule.log_snr(levels_of(schedule, 101))
    found = density(schedule.log_snr(UniformTime().spread(200_000, schedule)), log_snr)
    s = (log_snr / 2).sigmoid()
    torch.testing.assert_close(found[1:-1], (s * (1 - s) / 2)[1:-1], atol=2e-4, rtol=0)
    assert float((found * widths(log_snr)).sum()) == pytest.approx(1)


def test_levels_are_measured_of_a_run(see, images, points):
    said, rows = see("noise_levels", images, "--num_images", 20, "--levels", 5)
    assert set(rows[0]) == {
        *("t", "alpha", "sigma", "log_snr", "data", "noise", "velocity", "loss", "gaussian", "density")
    }
    alpha, sigma, log_snr = (column(rows, name) for name in ("alpha", "sigma", "log_snr"))
    torch.testing.assert_close(log_snr, 2 * (alpha / sigma).log(), rtol=1e-3, atol=1e-4)
    assert 3 <= len(rows) <= 5 and log_snr.diff().min() > 0  # of 20 steps two may be the same
    before = Path("out/noise_levels.csv").read_text()
    see("noise_levels", images, "--num_images", 20, "--levels", 5)
    assert Path("out/noise_levels.csv").read_text() == before
    assert "loss in training" in said.out
    _, rows = see("noise_levels", points, "--levels", 5)
    assert {row["gaussian"] for row in rows} == {""}  # noise that is assigned to points tells of them


def test_all_schedules_are_compared(see, images):
    said, rows = see("schedules", None)
    import_all()
    used = " ".join({type(schedule).__name__ for schedule in SHIPPED.values()})
    assert {name for name in class_names(["model", "noise_schedule"]) if name not in used} == set()
    assert {row["schedule"] for row in rows} == set(SHIPPED)
    snr = column(rows, "snr")
    torch.testing.assert_close(snr, (column(rows, "alpha") / column(rows, "sigma")) ** 2, rtol=1e-4, atol=0)
    torch.testing.assert_close(snr.log(), column(rows, "log_snr"), rtol=1e-4, atol=1e-4)
    for name in SHIPPED:
        assert column([row for row in rows if row["schedule"] == name], "snr").diff().max() < 0
    said, rows = see("schedules", images)
    assert rows[0]["schedule"] == "the model's Discretised" and len(column(rows, "t")) > 20
    assert "the model's Discretised" in said.out


def test_images_without_labels_do_not_suit_a_conditional_model(see, images, tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(9):
        Image.new("L", (8, 8), 20 * i).save(tmp_path / f"pictures/{i}.png")
    own = ("--data", "ImageFolder", "--data.folder", tmp_path / "pictures", "--data.image_size", 8)
    sizes = ("--data.channels", 1, "--data.val_size", 3, "--data.test_size", 3)
    said, _ = see("noise_levels", images, *own, *sizes, status=2)
    assert "is conditional, but the images have no labels" in said.err
