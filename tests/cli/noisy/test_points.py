"""Ways of points, and where noisy ones should go."""

from functools import partial
from typing import Any

import numpy
import pytest
import torch
from perfect_denoiser import perfect

from lit_gen.commands.diagnose import noisy, score_field
from lit_gen.commands.diagnose.trajectories import detours, paths
from lit_gen.functional.noise_schedules import CosineSchedule, RectifiedFlowSchedule
from lit_gen.functional.worlds import Gaussian
from lit_gen.models import NormalizingFlow
from lit_gen.nn.dense_flows import DenseRealNVP
from lit_gen.nn.dequantisation import NoDequantisation


def column(rows: Any, name: str) -> torch.Tensor:
    return torch.tensor([float(row[name]) for row in rows], dtype=torch.float64)


def test_the_score_of_a_known_gaussian_is_its_gradient(see, points, monkeypatch):
    mean, std = (1.0, -2.0), 0.5
    for schedule in (CosineSchedule(), RectifiedFlowSchedule()):
        monkeypatch.setattr(noisy, "load_model", lambda *_, s=schedule: perfect((2, 1, 1), s, mean, std))
        world = ("--data", "Points2D", "--data.world", "Gaussian", "--data.world.mean", "[1,-2]")
        said, rows = see("score_field", points, *world, "--data.world.std", std, "--cells", 5, "--times", 0.2, 0.7)
        assert len(rows) == 2 * 25
        alpha, sigma = schedule.at(column(rows, "t"))
        for i, name in enumerate(("x", "y")):
            wanted = -(column(rows, name) - alpha * mean[i]) / (alpha**2 * std**2 + sigma**2)
            torch.testing.assert_close(column(rows, f"score_{name}"), wanted, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(column(rows, f"true_{name}"), wanted, rtol=1e-4, atol=1e-4)
        assert said.out.count("error 0.00%") == 2


def test_a_wrong_score_is_told_by_its_error():
    right, wrong = (perfect((2, 1, 1), CosineSchedule(), (1.0, 1.0), std) for std in (0.5, 1.0))
    world = Gaussian((1.0, 1.0), 0.5)
    assert score_field._field(right, world, 0.3, 4, 500, 0).error == pytest.approx(0, abs=1e-3)
    # Both scores are linear, −(x − αμ)/v: the error is that of 1/v.
    alpha, sigma = (float(v) for v in CosineSchedule().at(torch.tensor(0.3, dtype=torch.float64)))
    v, w = ((alpha * std) ** 2 + sigma**2 for std in (0.5, 1.0))
    assert score_field._field(wrong, world, 0.3, 4, 500, 0).error == pytest.approx(1 - v / w, rel=1e-3)


def test_points_on_a_line_and_worlds_of_unknown_scores(see, points, monkeypatch):
    line = ("--data", "Points2D", "--data.world", "Mixture1D", "--data.num_test", 50)
    monkeypatch.setattr(noisy, "load_model", lambda *_: perfect((1, 1, 1), CosineSchedule()))
    for kind in ("score_field", "trajectories", "forward_process", "noise_levels"):
        see(kind, points, *line)
    monkeypatch.setattr(noisy, "load_model", lambda *_: perfect((2, 1, 1), CosineSchedule()))
    said, rows = see("score_field", points, "--data", "Points2D", "--data.world", "TwoMoons", "--times", 0.5)
    assert "not known" in said.out and {row["true_x"] for row in rows} == {""}


def test_noise_that_was_assigned_to_points_gives_no_score(see, points):
    said, rows = see("score_field", points, "--cells", 3)
    assert "no score" in said.out and "error" not in said.out and {row["true_y"] for row in rows} == {""}


def test_ways_end_at_the_points_that_sample_draws(see, lit_gen, points):
    said, rows = see("trajectories", points, "--num_points", 9)
    assert len(rows) == 9 * 7 and "6 steps" in said.out
    ends = torch.stack([column(rows[6::7], name) for name in ("x", "y")], dim=1)
    assert lit_gen("sample", "--ckpt_path", points, "--num_samples", 9, "--output", "x.npz").status == 0
    torch.testing.assert_close(ends.float(), torch.from_numpy(numpy.load("x.npz")["points"]), rtol=1e-3, atol=1e-4)


def test_flows_have_ways_too(see, points, monkeypatch):
    torch.manual_seed(0)
    flow: Any = partial(DenseRealNVP, couplings=3, width=8)
    model = NormalizingFlow((2, 1, 1), flow=flow, dequantisation=NoDequantisation).eval()
    monkeypatch.setattr(noisy, "load_model", lambda *_: model)
    _, rows = see("trajectories", points, "--num_points", 4)
    path = paths(model, 4, 0)
    assert len(rows) == path.shape[0] * 4
    assert "learns from noisy points" in see("score_field", points, status=2)[0].err


def test_a_detour_is_a_ratio_of_lengths():
    straight = torch.tensor([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
    round_trip = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    found = detours(torch.stack([straight, round_trip], dim=1))
    assert found.tolist() == pytest.approx([1.0, 7 / 5])
    # To a single place the ways of flow matching are straight lines; those of a cosine schedule are arcs.
    line, arc = (
        perfect((2, 1, 1), schedule(), (3.0, -3.0), 1e-3) for schedule in (RectifiedFlowSchedule, CosineSchedule)
    )
    assert float(detours(paths(line, 5, 0)).max()) < 1.001 < 1.01 < float(detours(paths(arc, 5, 0)).max())


def test_mistakes_about_points(see, points):
    assert "points, which are no pictures" in see("denoising", points, status=2)[0].err
    assert "times run from 0, data, to 1" in see("score_field", points, "--times", 2, status=2)[0].err
