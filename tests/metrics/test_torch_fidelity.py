"""The same scores as torch-fidelity, of the same images through the same Inception."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_gen.contracts import ImageData
from lit_gen.metrics import Evaluator, split_batches
from lit_gen.metrics.extractors import InceptionV3

torch_fidelity = pytest.importorskip("torch_fidelity")


class Images(Dataset[Tensor]):
    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> Tensor:
        return self.image[index].expand(3, -1, -1)


def test_equal_to_torch_fidelity(squares: Callable[..., ImageData], inception_weights: Path, cache_dir: Path) -> None:
    real, fake = squares(48, size=24), squares(40, size=24, seed=1)
    extractor = InceptionV3(str(inception_weights))
    metrics = "fid,is,kid,pr"
    evaluator = Evaluator(extractor, metrics, num_samples=40, batch_size=16, seed=7, kid_subset_size=30, is_splits=4)
    evaluator.prepare(real)
    # A little darker, so that the distances are not all noise.
    image = torch.cat([image for _, image in split_batches(fake, "test")]) // 4 * 3
    scores = evaluator.evaluate(image.split(23), weights="real").metrics
    expected: dict[str, Any] = torch_fidelity.calculate_metrics(
        input1=Images(image),
        input2=Images(torch.cat([image for _, image in split_batches(real, "test")])),
        **{
            "fid": True,
            "isc": True,
            "kid": True,
            "prc": True,
            "cuda": False,
            "cache": False,
            "verbose": False,
            "save_cpu_ram": True,
        },
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=inception_weights,
        batch_size=16,
        rng_seed=7,
        kid_subset_size=30,
        isc_splits=4,
    )
    names = {
        "fid": "frechet_inception_distance",
        "kid_mean": "kernel_inception_distance_mean",
        "kid_std": "kernel_inception_distance_std",
        "is_mean": "inception_score_mean",
        "is_std": "inception_score_std",
        "precision": "precision",
        "recall": "recall",
    }
    for ours, theirs in names.items():
        assert scores[ours] == pytest.approx(expected[theirs], rel=1e-4, abs=1e-7), ours
    # Scores that hardly differ from their value for like sets would prove nothing.
    assert scores["fid"] > 1.0 and scores["kid_mean"] > 3.0 * scores["kid_std"] and scores["is_mean"] > 1.05
