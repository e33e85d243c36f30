"""Any module can be an extractor."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors import TorchModule

CPU = torch.device("cpu")
CONVOLUTION: dict[str, Any] = {
    "module": "torch.nn.Conv2d",
    "arguments": {"in_channels": 3, "out_channels": 5, "kernel_size": 3},
    "channels": 3,
}
SCALED: dict[str, Any] = {**CONVOLUTION, "size": 24, "mean": [0.5, 0.4, 0.3], "std": [0.2]}


def test_module_by_import_path(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    data, extractor = squares(), TorchModule(**SCALED)
    state = torch.get_rng_state()
    extractor.prepare(data, CPU)
    assert torch.equal(torch.get_rng_state(), state) and extractor.name == "conv2d"
    image = next(iter(data.batches("test", 6)))["image"]
    features, logits, _ = extractor(image)
    assert features.shape == (6, 5) and logits is None  # feature maps are averaged over space
    torch.save(extractor.network.state_dict(), tmp_path / "weights.pt")
    again = TorchModule(
        **CONVOLUTION, size=24, mean=[0.5, 0.4, 0.3], std=[0.2], weights_path=str(tmp_path / "weights.pt")
    )
    again.prepare(data, CPU)
    assert torch.equal(again(image).features, features)
    assert again.describe()["sha256"] == extractor.describe()["sha256"]
    plain = TorchModule(**CONVOLUTION)
    plain.prepare(data, CPU)
    assert plain.describe()["resize"] != extractor.describe()["resize"]
    weight, bias = plain.network.weight, plain.network.bias
    expected = nn.functional.conv2d(image.expand(-1, 3, -1, -1) / 255.0, weight, bias).mean((2, 3))
    torch.testing.assert_close(plain(image).features, expected)


def test_hash_tells_apart_what_has_the_same_weights(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    found = []
    for settings in ({"kernel_size": 2}, {"kernel_size": 2, "stride": 3}):
        for module in ("torch.nn.AvgPool2d", "torch.nn.MaxPool2d"):
            extractor = TorchModule(module, arguments=settings)
            extractor.prepare(squares(), CPU)
            found.append(extractor.describe()["sha256"])
    assert len(set(found)) == 4


def test_files_hash(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 5, 3).state_dict(), tmp_path / "state.pt")
    torch.jit.script(Pair()).save(str(tmp_path / "pair.pt"))
    for name, settings in (("state", CONVOLUTION), ("pair", {})):
        path = tmp_path / f"{name}.pt"
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        TorchModule(**settings, weights_path=str(path), weights_sha256=sha256[:12]).prepare(squares(), CPU)
        with pytest.raises(UserError, match=f"SHA-256 is {sha256}"):
            TorchModule(**settings, weights_path=str(path), weights_sha256="0" * 64).prepare(squares(), CPU)


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean(3).flatten(1), x.amax((2, 3)).repeat(1, 4)


def test_torchscript_file_with_logits(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    torch.jit.script(Pair()).save(str(tmp_path / "pair.pt"))
    extractor = TorchModule(weights_path=str(tmp_path / "pair.pt"), label="mine")
    extractor.prepare(squares(), CPU)
    features, logits, _ = extractor(torch.full((2, 1, 16, 16), 255, dtype=torch.uint8))
    assert extractor.name == "mine" and torch.equal(features, torch.ones(2, 16))
    assert logits is not None and torch.equal(logits, torch.ones(2, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"module": "torch.nn.Conv9d"}, "cannot import 'torch.nn.Conv9d'"),
        ({"module": "nowhere"}, "cannot import 'nowhere'"),
        ({"module": "torch.nn.Conv2d"}, "does not take the arguments"),
        ({"module": "builtins.dict"}, "gives a dict, not a torch module"),
        ({**CONVOLUTION, "channels": None}, r"does not take images of shape \(1, 16, 16\)"),
        ({"module": "torch.nn.Flatten", "arguments": {"start_dim": 2}}, "not \\[N, D\\]"),
        ({"weights_path": "nowhere.pt"}, "nowhere.pt does not exist"),
        ({**CONVOLUTION, "weights_path": "nowhere.pt"}, "nowhere.pt does not exist"),
    ],
)
def test_errors(settings: dict[str, Any], message: str, squares: Callable[..., ImageData]) -> None:
    with pytest.raises(UserError, match=message) as caught:
        TorchModule(**settings).prepare(squares(), CPU)
    assert "\n" not in str(caught.value)


def test_no_module_at_all() -> None:
    with pytest.raises(UserError, match="needs `module`"):
        TorchModule()
    with pytest.raises(UserError, match="above 0"):
        TorchModule("torch.nn.Flatten", std=[0.0])
