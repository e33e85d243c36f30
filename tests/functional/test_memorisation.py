import pytest
import torch
from scipy.stats import mannwhitneyu, norm

from lit_gen.functional.memorisation import memorisation, rank_sum
from lit_gen.functional.neighbours import nearest


def points(num: int, seed: int) -> torch.Tensor:
    return torch.randn(num, 6, generator=torch.Generator().manual_seed(seed))


def test_the_rank_sum_is_scipys():
    for a, b in [(points(30, 0)[:, 0], points(40, 1)[:, 0] + 0.4), (torch.tensor([1.0, 2, 2, 5]), torch.tensor([2.0]))]:
        wanted = mannwhitneyu(a, b, alternative="less", method="asymptotic", use_continuity=False)
        u = wanted.statistic
        n, m = len(a), len(b)
        assert rank_sum(a, b) == pytest.approx((u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5)
    a, b = points(30, 0)[:, 0], points(40, 1)[:, 0] + 0.4  # without ties the score gives scipy's p-value
    wanted = mannwhitneyu(a, b, alternative="less", method="asymptotic", use_continuity=False)
    assert norm.cdf(rank_sum(a, b)) == pytest.approx(wanted.pvalue)


def measure(sample: torch.Tensor, train: torch.Tensor, held_out: torch.Tensor):
    def to(a, b):
        return nearest(a, [b], 1)[0][:, 0]

    return memorisation(to(sample, train), to(held_out, train), to(sample, held_out), len(train))


def test_copies_are_found_and_fresh_points_are_not():
    train, held_out = points(1000, 2), points(2000, 3)
    copied = measure(train[::2], train, held_out)
    assert (copied.ratio, copied.close, copied.nearer) == (0.0, 1.0, 1.0)
    assert copied.copying < -20
    fresh = measure(points(2000, 4), train, held_out)
    assert fresh.ratio == pytest.approx(1, abs=0.05)
    assert abs(fresh.copying) < 3
    assert fresh.close == pytest.approx(0.01, abs=0.02)
    assert fresh.nearer == pytest.approx(fresh.expected, abs=0.05) and fresh.expected == pytest.approx(1 / 3)
    far = measure(3 * points(2000, 5), train, held_out)
    assert far.ratio > 2 and far.copying > 10


def test_one_copy_in_ten_shows():
    train, held_out = points(1000, 2), points(500, 3)
    found = measure(torch.cat([train[:50], points(450, 6)]), train, held_out)
    assert found.close >= 0.1
