"""The same scores as torch-fidelity, of the same images through the same Inception."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_gen import datamodules
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


def _equal_scores(real: ImageData, image: Tensor, weights: Path) -> Mapping[str, float]:
    """Scores images against 48 of the test split here and there, and returns what was found here."""
    extractor = InceptionV3(str(weights))
    num = len(image)
    evaluator = Evaluator(
        extractor,
        "fid,is,kid,pr",
        num_samples=num,
        num_real=48,
        batch_size=16,
        seed=7,
        kid_subset_size=30,
        is_splits=4,
    )
    evaluator.prepare(real)
    scores = evaluator.evaluate(image.split(23), weights="real").metrics
    expected: dict[str, Any] = torch_fidelity.calculate_metrics(
        input1=Images(image),
        input2=Images(torch.cat([image for _, image in split_batches(real, "test", count=48)])),
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
        feature_extractor_weights_path=weights,
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
    assert scores["fid"] > 1.0 and scores["kid_mean"] > scores["kid_std"] and scores["is_mean"] > 1.05
    return scores


def test_equal_to_torch_fidelity(squares: Callable[..., ImageData], inception_weights: Path, cache_dir: Path) -> None:
    # A little darker, so that the distances are not all noise.
    image = torch.cat([image for _, image in split_batches(squares(40, size=24, seed=1), "test")]) // 4 * 3
    _equal_scores(squares(48, size=24), image, inception_weights)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_equal_to_torch_fidelity_on_real_images(
    name: str, data_root: Path, inception_weights: Path, cache_dir: Path
) -> None:
    data = getattr(datamodules, name)(root=str(data_root))
    data.prepare_data()
    image = torch.cat([image for _, image in split_batches(data, "val", count=40)])
    image[::2] = image[::2] // 4 * 3  # so that some images lie within the real ones, and some without
    scores = _equal_scores(data, image, inception_weights)
    assert scores["precision"] > 0.0
