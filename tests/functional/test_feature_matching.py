"""Distances between maps, by hand."""

import pytest
import torch

from lit_gen.functional.feature_matching import feature_matching


def test_each_map_counts_by_its_mean_and_weight() -> None:
    fake, real = [torch.full((2, 3, 4, 5), 2.0), torch.full((2, 1, 1, 1), 1.0)], [torch.zeros(2, 3, 4, 5)]
    real.append(torch.full((2, 1, 1, 1), -3.0))
    assert feature_matching(fake, real).item() == 2 + 4
    assert feature_matching(fake, real, [0.5, 3.0]).item() == 1 + 12
    with pytest.raises(ValueError):
        feature_matching(fake, real[:1])


def test_only_the_generated_images_maps_are_pulled() -> None:
    fake, real = torch.tensor([1.0, -2.0], requires_grad=True), torch.zeros(2, requires_grad=True)
    feature_matching([fake], [real]).backward()
    assert fake.grad is not None and fake.grad.tolist() == [0.5, -0.5] and real.grad is None
