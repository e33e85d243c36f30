"""MIG, DCI and the FactorVAE score: closed forms, and what perfect, rotated and ignorant codes get."""

import math

import pytest
import torch

from lit_gen.functional.dci import completeness, disentanglement
from lit_gen.functional.factor_vae_score import factor_vae_score
from lit_gen.functional.mutual_information import discretise, entropy, mutual_information
from lit_gen.functional.mutual_information_gap import mutual_information_gap
from lit_gen.metrics.factor_prediction import predict_factors

NUM = 2000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_factors() -> torch.Tensor:
    return torch.stack([torch.randint(k, (NUM,), generator=seeded(k)) for k in (3, 4, 6)], dim=1)


def code(kind: str) -> torch.Tensor:
    factors = drawn_factors()
    noise = torch.randn(NUM, 5, generator=seeded(9))
    if kind == "noise":
        return noise
    perfect = torch.cat([factors / factors.double().std(dim=0) + 0.01 * noise[:, :3], noise[:, 3:]], dim=1)
    if kind == "perfect":
        return perfect
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=seeded(1), dtype=torch.float64)).Q
    return perfect.double() @ rotation


def mig(latents: torch.Tensor, factors: torch.Tensor) -> float:
    return float(mutual_information_gap(mutual_information(discretise(latents, 20), factors), factors).mean())


def test_information_of_discrete_values_in_closed_form() -> None:
    """A pair of bits of which the second is the first, turned in a quarter of all cases."""
    a = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    b = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0])
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    columns = torch.stack([a, b, torch.zeros_like(a), a * 7 + 3], dim=1)
    assert entropy(columns).tolist() == pytest.approx([math.log(2), math.log(2), 0, math.log(2)])
    found = mutual_information(columns, torch.stack([a, b], dim=1))
    log2, shared = math.log(2), math.log(2) - quarter
    assert found.flatten().tolist() == pytest.approx([log2, shared, shared, log2, 0, 0, log2, shared], abs=1e-12)


def test_information_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import mutual_info_score

    a, b = torch.randint(5, (300, 2), generator=seeded()), torch.randint(7, (300, 3), generator=seeded(1))
    found = mutual_information(a, b)
    for i in range(2):
        for j in range(3):
            assert float(found[i, j]) == pytest.approx(mutual_info_score(a[:, i], b[:, j]), abs=1e-12)


def test_bins_are_those_of_numpy() -> None:
    import numpy

    x = torch.randn(500, 2, generator=seeded()).double()
    bins = discretise(x, 20)
    for j in range(2):
        counts = numpy.histogram(x[:, j].numpy(), 20)[0]
        assert torch.bincount(bins[:, j], minlength=20).tolist() == counts.tolist()
    assert discretise(torch.full((4, 1), 3.0), 20).unique().tolist() == [0]


def test_the_gap_in_closed_form() -> None:
    """Two latents tell all of the first bit, one all of the second, none the third."""
    bits = torch.tensor([[i >> k & 1 for k in range(3)] for i in range(8)])
    latents = bits[:, [0, 0, 1]]
    gaps = mutual_information_gap(mutual_information(latents, bits), bits)
    assert gaps.tolist() == pytest.approx([0, 1, 0], abs=1e-12)
    alone = mutual_information_gap(mutual_information(latents[:, 2:], bits), bits)
    assert alone.tolist() == pytest.approx([0, 1, 0], abs=1e-12)


def test_dci_in_closed_form() -> None:
    eye = torch.eye(3)
    assert float(disentanglement(eye)) == float(completeness(eye)) == pytest.approx(1)
    flat = torch.ones(4, 3)
    assert float(disentanglement(flat)) == pytest.approx(0, abs=1e-12)
    assert float(completeness(flat)) == pytest.approx(0, abs=1e-12)
    # The first latent serves both factors alike, the second is told by it and another; the fourth latent is unused.
    r = torch.tensor([[0.5, 0.5], [0.5, 0.0], [0.0, 0.5], [0.0, 0.0]])
    assert float(disentanglement(r)) == pytest.approx(0.5 * 0 + 0.25 * 1 + 0.25 * 1)
    assert float(completeness(r)) == pytest.approx(1 - math.log(2) / math.log(4))


def test_a_forest_finds_what_a_factor_is_told_by() -> None:
    factors = drawn_factors()
    found = predict_factors(code("perfect"), factors, seed=0, trees=25)
    assert found.importance.argmax(dim=0).tolist() == [0, 1, 2]
    assert found.importance.sum(dim=0).tolist() == pytest.approx([1, 1, 1])
    assert min(found.accuracy.tolist()) > 0.99
    noise = predict_factors(code("noise"), factors, seed=0, trees=25)
    assert noise.accuracy.tolist() == pytest.approx([1 / 3, 1 / 4, 1 / 6], abs=0.06)
    again = predict_factors(code("perfect"), factors, seed=0, trees=25)
    assert torch.equal(found.importance, again.importance)


def test_perfect_rotated_and_ignorant_codes() -> None:
    factors = drawn_factors()
    scores = {}
    for kind in ("perfect", "rotated", "noise"):
        importance = predict_factors(code(kind), factors, seed=1, trees=25).importance
        scores[kind] = (
            mig(code(kind), factors),
            float(disentanglement(importance)),
            float(completeness(importance)),
            factor_vae_score(code(kind), factors, seeded(2), 1000, 1000),
        )
    assert all(score > 0.95 for score in scores["perfect"]), scores
    # The votes only ask which number varies least, and are hard to confuse by a rotation.
    margins = (0.5, 0.5, 0.5, 0.02)
    rows = zip(scores["perfect"], scores["rotated"], margins, strict=True)
    assert all(rotated < perfect - margin for perfect, rotated, margin in rows), scores
    gap, d, c, told = scores["noise"]
    assert gap < 0.02 and d < 0.15 and c < 0.15 and told < 1 / 3 + 0.1, scores


def test_votes_are_seeded_and_scale_does_not_matter() -> None:
    factors, z = drawn_factors(), code("rotated")
    first = factor_vae_score(z, factors, seeded(3), 300, 300)
    assert (
        first == factor_vae_score(z, factors, seeded(3), 300, 300) != factor_vae_score(z, factors, seeded(4), 300, 300)
    )
    assert first == factor_vae_score(z * 4, factors, seeded(3), 300, 300)


def test_latents_that_have_collapsed_do_not_vote() -> None:
    """Without that, one whose noise is least would always win."""
    factors = drawn_factors()
    z = torch.cat([code("perfect"), 1e-4 * torch.zeros(NUM, 1)], dim=1)
    assert factor_vae_score(z, factors, seeded(5), 300, 300) > 0.99
    assert factor_vae_score(torch.zeros(NUM, 2), factors, seeded(5), 300, 300) == pytest.approx(1 / 3)
