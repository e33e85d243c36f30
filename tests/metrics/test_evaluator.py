"""The evaluator: early errors, one pass, caching, undisturbed random numbers."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics import EvaluationResult, Evaluator, Features, split_batches, split_share
from lit_gen.metrics.extractors import Classifier, Extractor
from lit_gen.metrics.split_share import positions


class Pixels(Extractor):
    """Average pixels as features, and sums of them as logits; counts what it sees."""

    name = "pixels"

    def __init__(self, logits: bool = True) -> None:
        super().__init__()
        self.logits = logits
        self.seen: list[int] = []
        self.dtypes: set[torch.dtype] = set()

    def prepare(self, data: ImageData, device: torch.device) -> None:
        self.hold(torch.nn.Linear(4, 4), device) if not hasattr(self, "network") else None

    def forward(self, image: Tensor) -> Features:
        self.seen.append(len(image))
        features = torch.nn.functional.adaptive_avg_pool2d(image.float() / 255.0, 2).mean(1).flatten(1)
        self.dtypes.add((features @ features.T).dtype)
        return Features(features, features @ features.new_ones(4, 3) if self.logits else None)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "resize": "none", "sha256": "0" * 64}


def _evaluator(cache_dir: Path, **settings: Any) -> Evaluator:
    defaults = {
        "extractor": Pixels(),
        "num_samples": 150,
        "batch_size": 64,
        "kid_subsets": 4,
        "cache_dir": str(cache_dir),
    }
    return Evaluator(**{**defaults, **settings})


def test_real_against_real_and_against_others(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    data = squares()
    evaluator = _evaluator(cache_dir)
    evaluator.prepare(data)
    like = evaluator.evaluate(split_batches(data, "val", count=150), weights="real")
    unlike = evaluator.evaluate((index, image // 2) for index, image in split_batches(data, "val", count=150))
    assert list(like.metrics) == ["fid", "fid_std", "is_mean", "is_std", "kid_mean", "kid_std"]
    assert like.metrics["fid"] < 0.1 * unlike.metrics["fid"]
    assert like.metrics["kid_mean"] < 0.1 * unlike.metrics["kid_mean"]
    assert set(like.seconds) == {"real", "generate", "features", "metrics"}
    protocol = like.protocol
    assert (protocol.data, protocol.split, protocol.num_real, protocol.num_samples) == ("squares", "test", 200, 150)
    assert protocol.kid_subset_size == 150  # reduced from 1000: there are no more
    assert protocol.differences(unlike.protocol) == {"weights": ("real", "ema")}


def test_the_split_against_itself_is_zero(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    evaluator = _evaluator(cache_dir, num_samples=200, metrics="fid")
    evaluator.prepare(squares())
    assert evaluator.evaluate(split_batches(squares(), "test")).metrics["fid"] == pytest.approx(0.0, abs=1e-9)


def test_one_pass_feeds_all_metrics(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    data, evaluator = squares(), _evaluator(cache_dir)
    evaluator.prepare(data)
    seen = evaluator.extractor.seen
    assert sum(seen) == 200 + 1 and max(seen) <= 64  # the probe is one image
    evaluator.evaluate(split_batches(data, "val", batch_size=100, count=150))
    assert sum(seen) == 201 + 150 and max(seen) <= 64


def test_images_alone_in_any_batches(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    data, evaluator = squares(), _evaluator(cache_dir)
    evaluator.prepare(data)
    pairs = list(split_batches(data, "val", 7))
    image = torch.cat([image for _, image in pairs])
    with_index = evaluator.evaluate(pairs[::-1])  # what goes beyond 150 is left out
    alone = evaluator.evaluate(iter(image.split(31)))
    assert alone.metrics == pytest.approx(with_index.metrics, rel=1e-9)


def test_generation_stops_when_there_is_enough(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    evaluator = _evaluator(cache_dir, metrics=["is"], num_samples=20)
    evaluator.prepare(squares())

    def endless() -> Iterator[Tensor]:
        for _ in range(3):
            yield torch.zeros(8, 1, 16, 16, dtype=torch.uint8)
        raise AssertionError("20 images were enough")

    assert evaluator.evaluate(endless()).metrics["is_mean"] == pytest.approx(1.0)


def test_indices_cover_everything_once(cache_dir: Path) -> None:
    batches = list(_evaluator(cache_dir).indices())
    assert [len(batch) for batch in batches] == [64, 64, 22]
    assert torch.equal(torch.cat(batches), torch.arange(150))


def test_real_statistics_are_cached_by_content(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    def scores(**settings: Any) -> tuple[bool, dict[str, float]]:
        data = squares(seed=settings.pop("data_seed", 0))
        evaluator = _evaluator(cache_dir, **settings)
        evaluator.prepare(data)
        result = evaluator.evaluate(split_batches(data, "val", count=150))
        return sum(evaluator.extractor.seen) > 151, dict(result.metrics)

    computed, first = scores()
    assert computed
    assert scores() == (False, first)
    assert scores(seed=1)[0] is False  # the seed is no part of the real statistics
    for changed in ({"data_seed": 1}, {"split": "train"}, {"num_real": 199}, {"precision": "bfloat16"}):
        assert scores(**changed)[0], changed
    for entry in cache_dir.glob("real_*/*.pt"):
        entry.write_bytes(entry.read_bytes()[:-5])
    assert scores() == (True, first)


def test_bfloat16_has_a_protocol_and_a_cache_of_its_own(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    def score(precision: str) -> EvaluationResult:
        evaluator = _evaluator(cache_dir, extractor=Classifier(), metrics="fid", precision=precision)
        evaluator.prepare(squares())
        return evaluator.evaluate(split_batches(squares(), "val", count=150))

    alone = score("bfloat16")
    for entry in cache_dir.glob("real_*/*.pt"):
        entry.unlink()
    full = score("float32")
    entries = set(cache_dir.glob("real_*/*.pt"))
    half = score("bfloat16")  # beside the entries of float32, of which it takes none
    assert half.metrics == alone.metrics and half.metrics != full.metrics
    added = set(cache_dir.glob("real_*/*.pt")) - entries
    assert len(added) == len(entries) and score("float32").metrics == full.metrics
    assert half.protocol.differences(full.protocol) == {"precision": ("bfloat16", "float32")}
    assert half.protocol.hash != full.protocol.hash


def test_unwritable_cache_only_warns(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    evaluator = _evaluator(tmp_path / "file" / "cache")
    with pytest.warns(UserWarning, match="cannot be written"):
        evaluator.prepare(squares())
    assert "fid" in evaluator.evaluate(split_batches(squares(), "val", count=150)).metrics


def test_global_random_numbers_stay_as_they_are(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    def state() -> tuple[object, ...]:
        numpy = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), numpy[1].tolist(), numpy[2:]

    data = squares(num=64)
    torch.randn(3), np.random.rand(3), random.random()
    before = state()
    evaluator = _evaluator(cache_dir, extractor=Classifier(), num_samples=64)
    evaluator.prepare(data)  # trains the classifier, too
    evaluator.evaluate(split_batches(data, "val"))
    assert state() == before


def test_autocast_and_inference_mode_around_do_not_show(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    data, outside, inside = squares(), _evaluator(cache_dir / "a"), _evaluator(cache_dir / "b")
    outside.prepare(data)
    precision = torch.get_float32_matmul_precision()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside.prepare(data)
        result = inside.evaluate(split_batches(data, "val", count=150))
    assert inside.extractor.dtypes == {torch.float32}
    assert torch.get_float32_matmul_precision() == precision
    assert result.metrics == outside.evaluate(split_batches(data, "val", count=150)).metrics
    assert inside.evaluate(split_batches(data, "val", count=150)).metrics == result.metrics
    coarse = _evaluator(cache_dir / "a", precision="bfloat16")
    coarse.prepare(data)
    assert coarse.extractor.dtypes == {torch.bfloat16}


def test_extractors_are_in_no_state_dict(squares: Callable[..., ImageData]) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), extractor := Pixels())
    extractor.prepare(squares(), torch.device("cpu"))
    assert list(module.state_dict()) == ["0.weight", "0.bias"] and len(list(module.parameters())) == 2
    module.load_state_dict(module.state_dict())
    module.train()
    assert not extractor.network.training and not extractor.network.weight.requires_grad


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["fid", "kidd"]}, "no metric 'kidd' among .*; did you mean 'kid'"),
        ({"metrics": []}, "fid, is, kid"),
        ({"num_samples": 1}, "num_samples is 1, but must be at least 2"),
        ({"num_samples": 9}, "is_splits=10"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"dc_neighbours": 0}, "dc_neighbours is 0, but must be at least 1"),
        ({"kid_rbf_sigma": 0.0}, "kid_rbf_sigma is 0.0, but must be a positive number"),
        ({"cmmd_sigma": float("inf")}, "cmmd_sigma is inf"),
        ({"num_real": 1}, "num_real is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"precision": "float16"}, "float32, bfloat16"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str, cache_dir: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _evaluator(cache_dir, **settings)
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_said_before_anything_is_generated(
    squares: Callable[..., ImageData], cache_dir: Path
) -> None:
    with pytest.raises(UserError, match="gives no logits"):
        _evaluator(cache_dir, extractor=Pixels(logits=False)).prepare(squares())
    _evaluator(cache_dir, extractor=Pixels(logits=False), metrics=("fid", "kid")).prepare(squares())
    with pytest.raises(UserError, match="does not tell the 4 classes of squares apart, which class_accuracy needs"):
        _evaluator(cache_dir, extractor=Pixels(), metrics=("class_accuracy",)).prepare(squares())
    with pytest.raises(UserError, match="has 200 images, from which 201"):
        _evaluator(cache_dir, num_real=201).prepare(squares())
    with pytest.raises(UserError, match="has 1 images"):
        _evaluator(cache_dir).prepare(squares(num=1))


def test_metrics_of_kernels_and_balls(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    """Their settings reach them, stand in the protocol, and are looked at before anything is generated."""
    data, metrics = squares(), ("kid_rbf", "pr", "dc", "cmmd")
    images = list(split_batches(data, "val", count=150))
    evaluator = _evaluator(cache_dir, metrics=metrics)
    evaluator.prepare(data)
    result = evaluator.evaluate(images, weights="real")
    shares = ("precision", "recall", "density", "coverage", "cmmd")
    assert set(result.metrics) == {"kid_rbf_mean", "kid_rbf_std", *shares, *(f"{name}_std" for name in shares)}
    lines = result.table().splitlines()[:6]
    names = ["kid_rbf[pixels]", "precision[pixels]", "recall[pixels]", "density[pixels]", "coverage[pixels]"]
    assert [line.split()[0] for line in lines] == [*names, "cmmd[pixels]"] and all(" ± " in line for line in lines)
    for setting, value, score in (
        ("kid_rbf_sigma", 0.1, "kid_rbf_mean"),
        ("pr_neighbours", 9, "precision"),
        ("dc_neighbours", 9, "coverage"),
        ("cmmd_sigma", 0.1, "cmmd"),
    ):
        other = _evaluator(cache_dir, metrics=metrics, **{setting: value})
        other.prepare(data)
        changed = other.evaluate(images, weights="real")
        assert set(changed.protocol.differences(result.protocol)) == {setting}
        assert changed.metrics[score] != result.metrics[score]
    with pytest.raises(UserError, match="5 real images are too few for dc_neighbours=5"):
        _evaluator(cache_dir, metrics="dc", num_real=5).prepare(data)


def test_wrong_images(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    evaluator = _evaluator(cache_dir)
    evaluator.prepare(squares())
    with pytest.raises(UserError, match="there were 120 images to score, but num_samples is 150"):
        evaluator.evaluate(split_batches(squares(), "val", count=120))
    with pytest.raises(UserError, match=r"\(1, 8, 8\), the real ones of \(1, 16, 16\)"):
        evaluator.evaluate(split_batches(squares(size=8), "val", count=150))


def test_positions_are_evenly_spaced() -> None:
    assert positions(10, 10).tolist() == list(range(10))
    assert positions(10, 4).tolist() == [0, 2, 5, 7]


def test_part_of_a_split(squares: Callable[..., ImageData]) -> None:
    data = squares(num=20)
    whole = torch.cat([image for _, image in split_batches(data, "test", 6)])
    index, image = (torch.cat(part) for part in zip(*split_batches(data, "test", 6, count=7), strict=True))
    assert index.tolist() == list(range(7))
    assert torch.equal(image, whole[positions(20, 7)])


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("count", "batch_size"), [(20, 6), (7, 6), (13, 5), (1, 6), (20, 64)])
def test_a_few_of_many_images_come_in_whole_batches(
    count: int, batch_size: int, processes: int, squares: Callable[..., ImageData], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = squares(num=20)
    whole = torch.cat([image for _, image in split_batches(data, "test", 6)])
    monkeypatch.setattr(split_share, "world_size", lambda: processes)
    seen = []
    for rank in range(processes):
        monkeypatch.setattr(split_share, "rank", lambda rank=rank: rank)
        shares = list(split_share.split_share(data, "test", batch_size, count))
        assert all(len(place) == batch_size for place, _ in shares[:-1])
        assert all(1 <= len(place) <= batch_size for place, _ in shares)
        for place, batch in shares:
            assert place.tolist() == sorted(place.tolist()) == batch["index"].tolist()
            assert torch.equal(batch["image"], whole[place])
            seen += place.tolist()
    assert sorted(seen) == positions(20, count).tolist()
