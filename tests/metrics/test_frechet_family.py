"""FID's standard error, FID for infinitely many images, per class, and informed of memorisation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from lit_gen.errors import UserError
from lit_gen.metrics import (
    Evaluator,
    Features,
    FrechetByClass,
    FrechetDistance,
    FrechetInfinity,
    MemorisationInformed,
    labelled_batches,
    split_batches,
)
from lit_gen.metrics.extractors import Classifier, TorchModule
from lit_gen.metrics.moments import Moments, moments_of

SIZE = 16
REAL = Moments(torch.zeros(SIZE, dtype=torch.float64), torch.eye(SIZE, dtype=torch.float64), 100_000)
SPREAD, SHIFT = 1.4, 0.2
TRUE = SIZE * ((SPREAD - 1.0) ** 2 + SHIFT**2)


class Same(nn.Module):
    """Passes features through."""

    num_features = SIZE

    def forward(self, x: Tensor) -> Tensor:
        return x


def _draw(num: int, seed: int) -> Tensor:
    return torch.randn(num, SIZE, generator=torch.Generator().manual_seed(seed)) * SPREAD + SHIFT


def _score(metric: Any, features: Tensor) -> dict[str, float]:
    metric.update(Features(features))
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("num", [3000, 400])  # of 3000 images, not all features are kept
def test_standard_error_is_the_deviation_over_draws(num: int) -> None:
    scores = [_score(FrechetDistance(REAL), _draw(num, seed)) for seed in range(150)]
    observed = torch.tensor([score["fid"] for score in scores]).std().item()
    claimed = torch.tensor([score["fid_std"] for score in scores]).mean().item()
    assert claimed == pytest.approx(observed, rel=0.2)


def test_extrapolation_is_nearer_to_the_truth() -> None:
    scores = [
        {**_score(FrechetDistance(REAL), x), **_score(FrechetInfinity(REAL, seed=1), x)}
        for x in (_draw(1000, seed) for seed in range(60))
    ]
    fid, infinity, claimed = (torch.tensor([s[name] for s in scores]) for name in ("fid", "fid_inf", "fid_inf_std"))
    assert abs(infinity.mean() - TRUE) < 0.3 * abs(fid.mean() - TRUE)
    assert claimed.mean().item() == pytest.approx(infinity.std().item(), rel=0.35)


def test_extrapolation_is_seeded_and_knows_no_order_of_arrival() -> None:
    x = _draw(200, 0)
    first, second = FrechetInfinity(REAL), FrechetInfinity(REAL)
    for index in torch.randperm(200).split(33):
        first.update(Features(x[index]), index)
    second.update(Features(x))
    assert first.compute() == second.compute()
    assert _score(FrechetInfinity(REAL, seed=1), x)["fid_inf"] != second.compute()["fid_inf"].item()
    with pytest.raises(ValueError, match="too few"):
        _score(FrechetInfinity(REAL), x[:15])


def test_every_class_is_scored_as_if_alone() -> None:
    real, fake = torch.randn(300, SIZE, generator=torch.Generator().manual_seed(0)), _draw(90, 1)
    real_label, label = torch.arange(300) % 3, torch.arange(90) % 3
    label[:60] = label[:60].flip(0)
    metric = FrechetByClass(real, real_label, ["a", "b", "c"])
    for index in torch.randperm(90, generator=torch.Generator().manual_seed(2)).split(13):
        metric.update(Features(fake[index], None, label[index]), index)
    scores = metric.compute()
    for number, name in enumerate("abc"):
        alone = _score(FrechetDistance(moments_of(real[real_label == number])), fake[label == number])
        assert scores[f"fid_class/{name}"].item() == pytest.approx(alone["fid"], rel=1e-9)
        assert scores[f"fid_class/{name}_std"].item() == pytest.approx(alone["fid_std"], rel=1e-6)
    mean = sum(scores[f"fid_class/{name}"].item() for name in "abc") / 3.0
    assert scores["fid_class_mean"].item() == pytest.approx(mean)
    with pytest.raises(UserError, match="real images of every class, but there are fewer of b"):
        FrechetByClass(real[:4], torch.tensor([0, 0, 2, 2]), ["a", "b", "c"])


@pytest.mark.parametrize("noise", [0.2, 3.0])  # copies with a little noise; images that nothing is copied in
def test_memorisation_as_torchmetrics_with_the_sides_exchanged(noise: float) -> None:
    generator = torch.Generator().manual_seed(3)
    real = torch.randn(200, SIZE, generator=generator)
    fake = real[:120] + noise * torch.randn(120, SIZE, generator=generator) + 0.1
    expected = MemorizationInformedFrechetInceptionDistance(Same())
    expected.update(fake, real=True)  # it averages over what it calls real
    expected.update(real, real=False)
    score = _score(MemorisationInformed(moments_of(real), real, real), fake)
    assert score["mifid"] == pytest.approx(expected.compute().item(), rel=1e-5)
    assert (score["memorisation_distance"] < 0.1) == (noise < 1.0)


@pytest.mark.parametrize("noise", [0.3, 2.0])  # within the threshold, and beyond it
def test_standard_errors_of_memorisation_are_the_deviation_over_draws(noise: float) -> None:
    generator = torch.Generator().manual_seed(8)
    train = torch.randn(500, SIZE, generator=generator)

    def draw() -> Tensor:
        chosen = torch.randint(0, 500, (400,), generator=generator)
        spread = 0.1 + noise * torch.rand(400, 1, generator=generator)  # some copies are better than others
        return train[chosen] + spread * torch.randn(400, SIZE, generator=generator) + 0.3

    metric = MemorisationInformed(REAL, train)
    scores = []
    for _ in range(120):
        metric.reset()
        scores.append(_score(metric, draw()))
    for name in ("mifid", "memorisation_distance"):
        observed = torch.tensor([score[name] for score in scores]).std().item()
        claimed = torch.tensor([score[f"{name}_std"] for score in scores]).mean().item()
        assert claimed == pytest.approx(observed, rel=0.25), name
    assert all((score["memorisation_distance"] < 0.1) == (noise < 1.0) for score in scores)


def test_fid_as_torchmetrics() -> None:
    real, fake = torch.randn(300, SIZE, generator=torch.Generator().manual_seed(4)), _draw(250, 5)
    expected = FrechetInceptionDistance(Same(), input_img_size=(SIZE,)).set_dtype(torch.float64)
    expected.update(real.double(), real=True)
    expected.update(fake.double(), real=False)
    assert _score(FrechetDistance(moments_of(real)), fake)["fid"] == pytest.approx(expected.compute().item(), rel=1e-6)


def test_evaluator_with_all_of_them(squares: Callable[..., Any], cache_dir: Path) -> None:
    data = squares()
    evaluator = Evaluator(Classifier(), "fid,fid_inf,fid_class,mifid,class_accuracy", num_samples=150, repeats=2)
    evaluator.prepare(data)
    assert evaluator.labels(torch.tensor([0, 5, 149])).tolist() == [0, 1, 1]  # type: ignore[union-attr]
    result = evaluator.evaluate_seeds(lambda seed: labelled_batches(squares(seed=seed + 7), "val", count=150), "real")
    assert {"fid_std", "fid_inf", "fid_class/3", "fid_class_mean", "mifid", "class_accuracy_std"} <= set(result.metrics)
    assert result.protocol.labels == "balanced" and result.protocol.repeats == 2
    assert result.protocol.mifid_fingerprint == data.fingerprint("train")
    assert result.by_seed is not None and list(result.by_seed) == [0, 1]
    with pytest.raises(UserError, match="class of every generated image"):
        evaluator.evaluate(split_batches(data, "val", count=150))
    with pytest.raises(UserError, match="squares have no labels, which fid_class needs"):
        Evaluator(TorchModule("torch.nn.Flatten"), "fid_class").prepare(squares(classes=None))


def test_training_images_are_found_out(squares: Callable[..., Any], cache_dir: Path) -> None:
    evaluator = Evaluator(Classifier(), "mifid", num_samples=150)
    evaluator.prepare(squares())
    copied, drawn = (
        evaluator.evaluate(split_batches(squares(seed=seed), split, count=150)).metrics["memorisation_distance"]
        for seed, split in ((0, "train"), (1, "val"))
    )
    assert copied < 1e-6 < drawn


def test_fewer_images_than_features_warn(
    squares: Callable[..., Any], cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Evaluator(Classifier(), "fid", num_samples=100).prepare(squares())
    assert "fewer than the 128 features" in caplog.text and "infinitely many" not in caplog.text


def test_an_extrapolation_from_few_images_warns(
    squares: Callable[..., Any], cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few, enough = (Evaluator(TorchModule("torch.nn.Flatten"), "fid_inf", num_samples=num) for num in (319, 320))
    enough.prepare(squares(size=8))
    assert "fewer than five" not in caplog.text
    few.prepare(squares(size=8))
    assert "fewer than five for each of the 64 features" in caplog.text
