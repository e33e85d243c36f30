"""Attributes' losses against torch's cross-entropies, permutations, images of wanted domains, the diversity loss."""

import itertools

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from lit_gen.errors import UserError
from lit_gen.functional.attributes import (
    attribute_error,
    attribute_loss,
    attribute_values,
    change_attribute,
    recognised_attributes,
    with_value,
)
from lit_gen.functional.diversity_sensitive import decayed_weight, diversity
from lit_gen.functional.permutation import draw_of_domain, permutation

GROUPS = ((0,), (1, 2, 3), (4,))


def some(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    i = torch.arange(num)
    attributes = torch.cat([(i % 2)[:, None], one_hot(i % 3, 3), (i // 2 % 2)[:, None]], dim=1).float()
    return torch.randn(num, 5) * 3, attributes


def test_cross_entropies_are_summed_over_attributes_and_are_means_over_images() -> None:
    torch.manual_seed(0)
    logits, attributes = some(6)
    every = tuple((i,) for i in range(5))
    expected = binary_cross_entropy_with_logits(logits, attributes, reduction="sum") / 6
    torch.testing.assert_close(attribute_loss(logits, attributes, every), expected)
    single = binary_cross_entropy_with_logits(logits[:, [0, 4]], attributes[:, [0, 4]], reduction="sum") / 6
    expected = single + cross_entropy(logits[:, 1:4], attributes[:, 1:4].argmax(1))
    torch.testing.assert_close(attribute_loss(logits, attributes, GROUPS), expected)


def test_an_attribute_s_weight_does_not_depend_on_how_many_there_are() -> None:
    torch.manual_seed(0)
    logits, attributes = some(6)
    alone = attribute_loss(logits[:, :1], attributes[:, :1], [(0,)])
    twice = attribute_loss(logits[:, [0, 0]], attributes[:, [0, 0]], [(0,), (1,)])
    torch.testing.assert_close(twice, 2 * alone)
    leaf = logits.clone().requires_grad_()
    attribute_loss(leaf, attributes, GROUPS).backward()
    torch.testing.assert_close(leaf.grad[:, 0], (torch.sigmoid(logits[:, 0]) - attributes[:, 0]) / 6)


def test_huge_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, 0.0, -1e4]], requires_grad=True)
    loss = attribute_loss(logits, torch.tensor([[1.0, 0, 1, 0, 0]]), GROUPS)
    assert loss.item() == 0
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_errors_are_counted_by_group() -> None:
    attributes = some(6)[1]
    logits = 2 * attributes - 1
    assert float(attribute_error(logits, attributes, GROUPS)) == 0
    logits[0, 0] *= -1
    logits[1, 1:4] = torch.tensor([5.0, 0, 0])  # its value was the second
    assert float(attribute_error(logits, attributes, GROUPS)) == pytest.approx(2 / 18)
    assert attribute_values(attributes, (1, 2, 3)).tolist() == [0, 1, 2, 0, 1, 2]
    assert attribute_values(attributes, (4,), 0.5).tolist() == [0, 0, 1, 1, 0, 0]


def test_logits_speak_for_one_place_of_a_group_and_for_single_ones_above_0() -> None:
    logits = torch.tensor([[-3.0, -1.0, -2.0, 0.5, -0.5], [4.0, 5.0, 6.0, -1.0, 1.0]])
    found = recognised_attributes(logits, ((0, 1, 2), (3,), (4,)))
    assert found.tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1]]


def test_an_attribute_is_turned_over_or_takes_its_group_s_place() -> None:
    attributes = torch.tensor([[1.0, 0, 1, 0, 0], [0, 0, 0, 1, 1]])
    assert change_attribute(attributes, 4, GROUPS).tolist() == [[1, 0, 1, 0, 1], [0, 0, 0, 1, 0]]
    assert change_attribute(attributes, 3, GROUPS).tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 1, 1]]
    assert attributes.tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 1, 1]]


def test_every_permutation_is_as_likely() -> None:
    torch.manual_seed(0)
    seen = [tuple(permutation(3, None, torch.device("cpu")).tolist()) for _ in range(1200)]
    counts = [seen.count(order) for order in itertools.permutations(range(3))]
    assert sum(counts) == 1200
    assert sum((count - 200) ** 2 / 200 for count in counts) < 20.5  # χ² of 5 degrees, 99.9 %
    own = [torch.Generator().manual_seed(i) for i in (4, 5, 6)]
    rows = torch.cat([torch.rand(1, generator=torch.Generator().manual_seed(i)) for i in (4, 5, 6)])
    assert torch.equal(permutation(3, own, torch.device("cpu")), rows.argsort())


def test_images_of_wanted_domains_are_drawn_uniformly_and_not_twice() -> None:
    torch.manual_seed(0)
    domain = torch.tensor([0, 1, 0, 2, 0])
    wanted = torch.tensor([0, 1, 2]).repeat(3000)
    first = draw_of_domain(domain, wanted)
    assert torch.equal(domain[first], wanted)
    counts = torch.bincount(first[wanted == 0], minlength=5)[[0, 2, 4]]
    assert counts.sum() == 3000 and (counts - 1000).abs().max() < 100
    second = draw_of_domain(domain, wanted, avoided=first)
    assert torch.equal(domain[second], wanted)
    assert (second != first)[wanted == 0].all(), "there are others"
    assert (second == first)[wanted != 0].all(), "there is but one"
    counts = torch.bincount(second[(wanted == 0) & (first == 0)], minlength=5)
    assert counts[0] == 0 and (counts[2] - counts[4]).abs() < 130


def test_diversity_is_a_mean_difference_whose_gradient_goes_one_way() -> None:
    first = torch.tensor([[1.0, 2.0], [0.0, -1.0]], requires_grad=True)
    second = torch.tensor([[0.0, 4.0], [1.0, -1.5]], requires_grad=True)
    value = diversity(first, second)
    assert float(value) == pytest.approx((1 + 2 + 1 + 0.5) / 4)
    value.backward()
    assert second.grad is None
    assert first.grad.tolist() == [[0.25, -0.25], [-0.25, 0.25]]


def test_the_weight_falls_linearly_and_stays_at_0() -> None:
    assert [decayed_weight(2.0, step, 4) for step in range(7)] == [2, 1.5, 1, 0.5, 0, 0, 0]
    with pytest.raises(UserError, match="within 0 steps"):
        decayed_weight(2.0, 0, 0)


def test_a_group_is_given_values_and_has_them() -> None:
    groups = ((0, 2, 3), (1,))
    attributes = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 1]])
    changed = with_value(attributes, groups[0], torch.tensor([2, 1]))
    assert changed.tolist() == [[0, 0, 0, 1], [0, 1, 1, 0]]
    assert with_value(changed, groups[1], torch.tensor([1, 0])).tolist() == [[0, 1, 0, 1], [0, 0, 1, 0]]
    assert attributes.tolist() == [[1, 0, 0, 0], [0, 1, 0, 1]]
    assert attribute_values(changed, groups[0], 0.5).tolist() == [2, 1]
