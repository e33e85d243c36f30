"""What each preparation of Inception for speed costs in exactness, against torch-fidelity's network in float64."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_gen.metrics.extractors.inception_network import InceptionNetwork
from lit_gen.metrics.precision import feature_arithmetic

inception_v3 = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(inception_weights: Path) -> nn.Module:
    """torch-fidelity's own, in float32."""
    made: nn.Module = inception_v3.FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=inception_weights
    )
    return made


@pytest.fixture(scope="module")
def image() -> Tensor:
    """Eighteen colour images from noise to almost plain, more than the network's own batches hold."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(18, 3, 12, 20, generator=generator)
    return (255 * noise ** torch.linspace(0.1, 4.0, 18)[:, None, None, None]).round().to(torch.uint8)


@pytest.fixture(scope="module")
def exact(inception_weights: Path, image: Tensor) -> tuple[Tensor, Tensor]:
    """Features and logits by float64 throughout."""
    theirs = inception_v3.FeatureExtractorInceptionV3(
        "exact", ["2048", "logits_unbiased"], feature_extractor_weights_path=inception_weights
    ).double()
    theirs.feature_extractor_internal_dtype = torch.float64  # its argument of that name is not heeded
    with torch.no_grad():
        features, logits = zip(*(theirs(part) for part in image.split(6)), strict=True)
    return torch.cat(features), torch.cat(logits)


def error(found: Any, exact: tuple[Tensor, Tensor]) -> float:
    """Returns the largest error in units of the standard deviation of features, or of logits, over images."""
    return max(
        ((mine.double() - right).abs().max() / right.std(0).mean()).item()
        for mine, right in zip(found, exact, strict=True)
    )


def run(network: nn.Module, image: Tensor, precision: Any = "float32") -> Any:
    with feature_arithmetic(CPU, precision):
        return network(image)


def test_float32_preparations(network: nn.Module, image: Tensor, exact: tuple[Tensor, Tensor]) -> None:
    prepared = InceptionNetwork(copy.deepcopy(network))
    ours = run(prepared, image)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in prepared.modules())
    assert prepared.body[0].branch1x1.conv.weight.is_contiguous(memory_format=torch.channels_last)
    # What float32 costs by itself, and what folding, memory format, resize and small batches add: 5.2e-5, 5.4e-5.
    assert 0.0 < error(run(network, image), exact) < 2e-4
    assert error(ours, exact) < 2e-4
    # Whatever the batch.
    parts = [torch.cat(part) for part in zip(*(run(prepared, few) for few in image.split(5)), strict=True)]
    assert error(parts, (ours[0].double(), ours[1].double())) < 2e-4
    # The bound is no empty one: a thousandth of one layer's weights shows, as 7e-2.
    prepared.stem[1].conv.weight.mul_(1.001)
    assert error(run(prepared, image), exact) > 1e-2


def test_bfloat16(network: nn.Module, image: Tensor, exact: tuple[Tensor, Tensor]) -> None:
    found = run(InceptionNetwork(copy.deepcopy(network)), image, "bfloat16")
    for mine, right in zip(found, exact, strict=True):
        spread = (mine.double() - right).square().mean().sqrt() / right.std(0).mean()
        assert 1e-2 < spread < 0.15  # 0.068 of features, 0.057 of logits, by root mean square


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "c++", "clang++"))), reason="needs a C++ compiler")
def test_compiled(network: nn.Module, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stem only: all of it takes minutes."""
    eager = InceptionNetwork(copy.deepcopy(network))
    monkeypatch.setattr(nn.Sequential, "compile", lambda layers: None if len(layers) > 7 else nn.Module.compile(layers))
    compiled = InceptionNetwork(copy.deepcopy(network), compiled=True)
    assert compiled.stem._compiled_call_impl is not None and len(compiled.stem) == 7
    x = image[:2, :, :, :].float() / 128 - 1
    x = nn.functional.interpolate(x, (75, 75)).contiguous(memory_format=torch.channels_last)
    with feature_arithmetic(CPU):
        found, right = compiled.stem(x), copy.deepcopy(eager.stem).double()(x.double())
    assert (found - right).abs().max() / right.std() < 1e-4
