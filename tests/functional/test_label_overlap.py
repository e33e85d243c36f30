"""Pixels that agree and classes that overlap, against sets of pixels and torchmetrics."""

import pytest
import torch
from torchmetrics.functional.segmentation import mean_iou

from lit_gen.functional.label_overlap import label_overlap
from lit_gen.functional.ratio_of_sums import mean_ratio_of_sums


def test_counts_are_those_of_sets_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.randint(0, 3, (4, 5, 7), generator=generator)
    truth = torch.randint(0, 5, (4, 5, 7), generator=generator)
    truth[truth == 4] = 255  # and 3 is no class either
    numerator, denominator = label_overlap(found, truth.to(torch.uint8), 3)
    assert numerator.shape == denominator.shape == (4, 4)
    for i in range(4):
        pixels = [(y, x) for y in range(5) for x in range(7) if truth[i, y, x] < 3]
        right = [p for p in pixels if found[i][p] == truth[i][p]]
        assert (numerator[i, 0], denominator[i, 0]) == (len(right), len(pixels))
        for k in range(3):
            mine, true = ({p for p in pixels if labels[i][p] == k} for labels in (found, truth))
            assert (numerator[i, 1 + k], denominator[i, 1 + k]) == (len(mine & true), len(mine | true))


def test_a_map_by_hand() -> None:
    truth = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 255]]])
    found = torch.tensor([[[0, 1, 1, 1], [0, 0, 0, 0]]])
    numerator, denominator = (x.repeat(2, 1) for x in label_overlap(found, truth, 3))
    accuracy, error = mean_ratio_of_sums(numerator[:, :1], denominator[:, :1])
    assert float(accuracy) == pytest.approx(5 / 7) and float(error) == 0
    # Class 2 is in neither map, and does not count.
    assert float(mean_ratio_of_sums(numerator[:, 1:], denominator[:, 1:])[0]) == pytest.approx((3 / 5 + 2 / 4) / 2)


def test_as_torchmetrics_has_it_of_one_image() -> None:
    generator = torch.Generator().manual_seed(1)
    found, truth = torch.randint(0, 4, (2, 1, 9, 8), generator=generator)
    numerator, denominator = (x.repeat(2, 1) for x in label_overlap(found, truth, 4))
    reference = mean_iou(found, truth, 4, input_format="index")
    assert float(mean_ratio_of_sums(numerator[:, 1:], denominator[:, 1:])[0]) == pytest.approx(float(reference))
