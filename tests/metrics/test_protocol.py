"""Protocols tell like evaluations from unlike ones; results show theirs."""

import dataclasses
import json
from typing import Any

import pytest

from lit_gen.metrics import EvaluationProtocol, EvaluationResult

PROTOCOL = EvaluationProtocol(
    data="squares",
    data_fingerprint="f" * 32,
    split="test",
    num_real=100,
    num_samples=200,
    image_shape=(1, 16, 16),
    resize="none",
    quantisation="clamp, round to nearest, uint8",
    extractor="classifier",
    extractor_hash="a" * 64,
    extractor_accuracy=0.98,
    precision="float32",
    weights="ema",
    labels="model",
    seed=0,
    repeats=1,
    kid_subsets=100,
    kid_subset_size=100,
    is_splits=10,
    pr_neighbours=3,
    dc_neighbours=5,
    kid_rbf_sigma=10.0,
    cmmd_sigma=10.0,
    fid_inf_points=15,
    mifid_fingerprint="b" * 8,
    version="0.1.0",
    sampling="guidance 2",
)


def _other(value: Any) -> Any:
    if isinstance(value, tuple):
        return (3, *value[1:])
    return f"{value}'" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(EvaluationProtocol)])
def test_every_field_counts(name: str) -> None:
    value = getattr(PROTOCOL, name)
    other = dataclasses.replace(PROTOCOL, **{name: _other(value)})
    assert other.hash != PROTOCOL.hash
    assert PROTOCOL.differences(other) == {name: (value, _other(value))}


def test_like_protocols() -> None:
    like = dataclasses.replace(PROTOCOL)
    assert like.hash == PROTOCOL.hash and PROTOCOL.differences(like) == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        like.seed = 1  # type: ignore[misc]


def test_result() -> None:
    scores = {"fid": 3.25, "kid_mean": 0.012, "kid_std": 0.001, "is_mean": 9.0, "is_std": 0.1}
    result = EvaluationResult(scores, PROTOCOL, {"real": 1.23456})
    assert result.named()["fid[classifier]"] == 3.25 and len(result.named()) == 5
    read = json.loads(result.to_json())
    assert read["metrics"] == scores and read["seconds"] == {"real": 1.235}
    assert read["protocol"] == PROTOCOL.to_dict() and read["protocol"]["hash"] == PROTOCOL.hash
    lines = result.table().splitlines()
    assert lines[:3] == [
        "fid[classifier]  3.25",
        "kid[classifier]  0.012 ± 0.001",
        "is[classifier]   9 ± 0.1",
    ]
    assert "sampled by" in result.table() and "guidance 2" in result.table()
    assert "accuracy 98.0 %" in result.table() and "200 images, ema weights, seed 0" in result.table()


def test_a_table_says_what_drew_the_images() -> None:
    def generated(**fields: str) -> str:
        table = EvaluationResult({"fid": 1.0}, dataclasses.replace(PROTOCOL, **fields), {}).table()
        return table.splitlines()[1].removeprefix("generated").strip()

    assert generated(weights="raw", labels="balanced") == "200 images, raw weights, balanced classes, seed 0"
    assert generated(weights="given samples") == "200 images, given samples, seed 0"


def test_mean_and_deviation_over_seeds() -> None:
    results = [
        EvaluationResult(
            {"fid": fid, "fid_std": 9.0, "kid_mean": fid / 10.0, "kid_std": 9.0},
            dataclasses.replace(PROTOCOL, seed=seed),
            {"real": 5.0, "generate": 1.0},
        )
        for seed, fid in ((4, 1.0), (5, 2.0), (6, 6.0))
    ]
    merged = EvaluationResult.over_seeds(results)
    assert merged.metrics == pytest.approx({"fid": 3.0, "fid_std": 7.0**0.5, "kid_mean": 0.3, "kid_std": 0.07**0.5})
    assert (merged.protocol.seed, merged.protocol.repeats) == (4, 3)
    assert merged.seconds == {"real": 5.0, "generate": 3.0}
    assert merged.to_dict()["by_seed"]["5"]["fid"] == 2.0
    assert "mean ± deviation of seeds 4 to 6" in merged.table()
