"""The Inception Score against values known by hand."""

import math

import pytest
import torch

from lit_gen.functional.inception_score import inception_score


def test_certain_and_diverse_is_the_number_of_classes() -> None:
    logits = torch.eye(7).repeat(4, 1) * 1e4
    assert inception_score(logits).item() == pytest.approx(7.0, rel=1e-12)


def test_one_class_or_none_is_one() -> None:
    assert inception_score(torch.zeros(10, 5)).item() == pytest.approx(1.0, rel=1e-12)
    assert inception_score(torch.eye(5)[:1].repeat(10, 1) * 1e4).item() == pytest.approx(1.0, rel=1e-12)


def test_by_hand() -> None:
    # p(y | x) is (3/4, 1/4) and (1/4, 3/4), p(y) is (1/2, 1/2).
    logits = torch.tensor([[3.0, 1.0], [1.0, 3.0]], dtype=torch.float64).log() + 5.0
    assert inception_score(logits).item() == pytest.approx(
        math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5)), rel=1e-12
    )


def test_impossible_classes_add_nothing() -> None:
    logits = torch.tensor([[0.0, -math.inf], [-math.inf, 0.0]])
    assert inception_score(logits).item() == pytest.approx(2.0, rel=1e-12)


def test_nan_shows() -> None:
    assert inception_score(torch.tensor([[0.0, math.nan], [0.0, 1.0]])).isnan()


def test_splits_are_scored_apart() -> None:
    # Of five rows, two and then three: one class in the first part, two in the second.
    logits = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]]) * 1e4
    second = math.exp(math.log(3) - 2 / 3 * math.log(2))
    assert inception_score(logits, splits=2).tolist() == pytest.approx([1.0, second], rel=1e-12)
    with pytest.raises(AssertionError, match="each split"):
        inception_score(logits, splits=6)
