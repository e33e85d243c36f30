"""Noise per image: what a row depends on, and its distribution."""

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.noise import rand, randint, randn, truncated_randn
from lit_gen.training.seeding import generators

CPU = torch.device("cpu")


@pytest.mark.parametrize("draw", [randn, rand])
def test_a_row_depends_on_its_generator_alone(draw: object) -> None:
    whole = draw((7, 3, 2), generators(5, range(7)), CPU)
    parts = [draw((len(r), 3, 2), generators(5, r), CPU) for r in (range(0, 1), range(1, 5), range(5, 7))]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole, draw((7, 3, 2), generators(6, range(7)), CPU))


def test_one_generator_or_none() -> None:
    a = randn((4, 2), torch.Generator().manual_seed(3), CPU)
    assert torch.equal(a, torch.randn(4, 2, generator=torch.Generator().manual_seed(3)))
    torch.manual_seed(3)
    assert torch.equal(randn((4, 2), None, CPU), a)


def test_labels_cover_their_range_evenly() -> None:
    labels = randint(4, 4000, generators(0, range(4000)), CPU)
    assert labels.shape == (4000,)
    assert labels.bincount(minlength=4).min() > 900


def test_rows_across_images_are_uncorrelated_and_normal() -> None:
    x = randn((4000, 2), generators(0, range(4000)), CPU)
    assert abs(x.mean().item()) < 0.05
    assert abs(x.std().item() - 1) < 0.05
    assert abs((x[:-1, 0] * x[1:, 0]).mean().item()) < 0.06


def test_truncated_normal_numbers() -> None:
    """Against scipy: the distribution of N(0, 1) given a magnitude of at most 1.5; row i from generator i alone."""
    scipy_stats = pytest.importorskip("scipy.stats")
    z = truncated_randn((20_000, 1), 1.5, torch.Generator().manual_seed(0), CPU)
    assert z.abs().max() <= 1.5
    assert scipy_stats.kstest(z[:, 0].numpy(), scipy_stats.truncnorm(-1.5, 1.5).cdf).pvalue > 0.01
    whole = truncated_randn((5, 2), 0.1, generators(0, range(5)), CPU)
    assert torch.equal(whole[3:], truncated_randn((2, 2), 0.1, generators(0, [3, 4]), CPU))
    assert torch.isfinite(truncated_randn((1000, 10), 100.0, None, CPU)).all()
    with pytest.raises(UserError, match="above 0"):
        truncated_randn((1, 1), 0.0, None, CPU)
