"""However features arrive, the scores are those of all of them at once."""

import pytest
import torch
from torch import Tensor

from lit_gen.functional.frechet import frechet_distance
from lit_gen.functional.inception_score import inception_score
from lit_gen.functional.kernel_distance import biased_mmd, gaussian_kernel, unbiased_mmd
from lit_gen.metrics import (
    DensityAndCoverage,
    FeatureMoments,
    FeatureRows,
    Features,
    FrechetDistance,
    GaussianKernelDistance,
    InceptionScore,
    KernelDistance,
    MeanDiscrepancy,
    PrecisionRecall,
)
from lit_gen.metrics.generative_metric import GenerativeMetric
from lit_gen.metrics.moments import Moments

GENERATOR = torch.Generator().manual_seed(0)
REAL = torch.randn(50, 6, generator=GENERATOR) + 5.0
FAKE = Features(torch.randn(41, 6, generator=GENERATOR) * 1.5, torch.randn(41, 3, generator=GENERATOR))


def _real() -> Moments:
    moments = FeatureMoments(6)
    moments.update(Features(REAL))
    return moments.compute()


def _metrics() -> list[GenerativeMetric]:
    return [
        FrechetDistance(_real()),
        KernelDistance(REAL, subsets=5, subset_size=20, seed=3),
        InceptionScore(4, seed=3),
        PrecisionRecall(REAL, neighbours=2),
        GaussianKernelDistance(REAL, sigma=4.0, subsets=5, subset_size=20, seed=3),
        DensityAndCoverage(REAL, neighbours=2),
        MeanDiscrepancy(REAL),
    ]


def _part(chosen: Tensor) -> Features:
    assert FAKE.logits is not None
    return Features(FAKE.features[chosen], FAKE.logits[chosen])


@pytest.mark.parametrize("metric", _metrics(), ids=lambda metric: metric.name)
def test_odd_batches_and_any_order_equal_one_shot(metric: GenerativeMetric) -> None:
    metric.update(FAKE)
    whole = metric.compute()
    metric.reset()
    for size in torch.arange(41).split([1, 7, 2, 13, 18]):
        metric.update(_part(size))
    parts = metric.compute()
    metric.reset()
    for index in torch.randperm(41, generator=torch.Generator().manual_seed(1)).split(9):
        metric.update(_part(index), index)
    shuffled = metric.compute()
    assert all(value.dtype == torch.float64 and value.ndim == 0 for value in whole.values())
    for name, value in whole.items():
        # Rows come out alike to the last bit; sums only to rounding.
        exact = metric.name != "fid"
        tolerance = 0.0 if exact else 1e-12
        assert parts[name].item() == pytest.approx(value.item(), rel=tolerance, abs=0.0)
        assert shuffled[name].item() == pytest.approx(value.item(), rel=tolerance, abs=0.0)


def test_frechet_distance_of_sample_moments() -> None:
    metric = FrechetDistance(_real())
    metric.update(FAKE)
    x, y = FAKE.features.double(), REAL.double()
    expected = frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())  # torch.cov has ddof 1
    assert metric.compute()["fid"].item() == pytest.approx(expected.item(), rel=1e-12)


def test_moments_far_from_zero() -> None:
    x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(2)) + 1e3
    moments = FeatureMoments(3)
    for part in x.split(64):
        moments.update(Features(part))
    mean, covariance, num = moments.compute()
    assert num == 1000
    torch.testing.assert_close(mean, x.double().mean(0), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(covariance, x.double().T.cov(), rtol=1e-8, atol=1e-8)


def test_one_image_has_no_covariance() -> None:
    moments = FeatureMoments(6)
    moments.update(Features(REAL[:1]))
    with pytest.raises(ValueError, match="at least 2"):
        moments.compute()


def test_whole_set_as_the_only_subset_is_the_estimate_itself() -> None:
    metric = KernelDistance(REAL[:41], subsets=3, subset_size=41)
    metric.update(FAKE)
    score = metric.compute()
    assert score["kid_mean"].item() == pytest.approx(unbiased_mmd(FAKE.features, REAL[:41]).item(), rel=1e-9)
    assert score["kid_std"].item() == pytest.approx(0.0, abs=1e-9)


def test_seed_decides() -> None:
    scores = []
    for seed in (0, 0, 1):
        metric = KernelDistance(REAL, subsets=2, subset_size=10, seed=seed)
        metric.update(FAKE)
        scores.append(metric.compute()["kid_mean"])
    assert scores[0] == scores[1] != scores[2]


def test_inception_score_in_one_part_does_not_depend_on_the_shuffle() -> None:
    assert FAKE.logits is not None
    metric = InceptionScore(splits=1, seed=5)
    metric.update(FAKE)
    score = metric.compute()
    assert score["is_mean"].item() == pytest.approx(inception_score(FAKE.logits).item(), rel=1e-12)
    assert score["is_std"] == 0.0


def test_an_image_counted_twice_is_refused() -> None:
    rows = FeatureRows()
    rows.update(Features(REAL[:3]), torch.tensor([0, 1, 2]))
    rows.update(Features(REAL[:2]), torch.tensor([5, 2]))
    with pytest.raises(ValueError, match="twice"):
        rows.compute()


def test_too_few_images() -> None:
    with pytest.raises(ValueError, match="subset size"):
        KernelDistance(REAL[:10], subset_size=11)
    kernel, score = KernelDistance(REAL, subset_size=42), InceptionScore(splits=42)
    kernel.update(FAKE)
    score.update(FAKE)
    for metric in (kernel, score):
        with pytest.raises(ValueError, match=r"42.*41|41.*42"):
            metric.compute()


def test_nothing_of_a_metric_goes_into_checkpoints() -> None:
    module = torch.nn.Module()
    for metric in _metrics():
        setattr(module, metric.name, metric)
    assert not module.state_dict() and not list(module.parameters())


def test_cmmd_is_of_features_of_length_1() -> None:
    metric = MeanDiscrepancy(7.0 * REAL, sigma=2.0)
    metric.update(FAKE)
    x, y = (part / part.norm(dim=1, keepdim=True) for part in (FAKE.features.double(), REAL.double()))
    expected = 1000.0 * biased_mmd(x, y, lambda a, b: gaussian_kernel(a, b, 2.0))[0].item()
    assert metric.compute()["cmmd"].item() == pytest.approx(expected, rel=1e-5) and expected > 1.0


@pytest.mark.parametrize("metric", [GaussianKernelDistance, MeanDiscrepancy])
def test_a_bandwidth_is_positive(metric: type[GenerativeMetric]) -> None:
    with pytest.raises(ValueError, match=r"bandwidth is 0\.0"):
        metric(REAL, sigma=0.0, **({"subset_size": 20} if metric is GaussianKernelDistance else {}))


def test_rows_in_order_are_not_copied() -> None:
    metric = FeatureRows()
    metric.update(Features(REAL))
    assert metric.ordered().data_ptr() == REAL.data_ptr()
    metric.reset()
    metric.update(Features(REAL[:3]), torch.tensor([7, 2, 0]))
    assert torch.equal(metric.compute(), REAL[[2, 1, 0]])
