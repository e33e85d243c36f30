"""The published networks give torch-fidelity's features, and say what is wrong with weights."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import CLIP, VGG16, DINOv2, Extractor
from lit_gen.metrics.extractors.dinov2_network import dinov2_network
from lit_gen.metrics.extractors.published_network import PublishedNetwork
from lit_gen.metrics.extractors.weights import weights_hash
from lit_gen.metrics.precision import feature_arithmetic

pytest.importorskip("torch_fidelity")
CPU = torch.device("cpu")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def dinov2(dinov2_path: Path) -> DINOv2:
    return DINOv2("vit-s-14", str(dinov2_path))


@pytest.fixture(scope="module")
def clip(clip_path: Path) -> CLIP:
    return CLIP("vit-b-32", str(clip_path), _digest(clip_path))


@pytest.fixture(scope="module")
def vgg16(vgg16_path: Path) -> VGG16:
    return VGG16(weights_path=str(vgg16_path))


@pytest.fixture(params=["dinov2", "clip", "vgg16"])
def extractor(request: pytest.FixtureRequest, squares: Callable[..., ImageData]) -> PublishedNetwork:
    found: PublishedNetwork = request.getfixturevalue(request.param)
    state = torch.get_rng_state()
    found.prepare(squares(2), CPU)
    assert torch.equal(torch.get_rng_state(), state)
    return found


@pytest.fixture
def theirs(
    extractor: PublishedNetwork,
    reference_dinov2: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Tensor], Tensor]:
    """torch-fidelity's extractor with the same weights."""
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    layer = {"vgg16": "fc2_relu"}.get(extractor.name, extractor.name.split("-")[0])
    path = extractor.weights_path
    if isinstance(extractor, DINOv2):  # torch-fidelity runs code from the internet; here it gets the paper's network
        forward, path = reference_dinov2(torch.load(str(path))), None

        class Loaded(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                features: Tensor = forward(x)
                return features

        monkeypatch.setattr(torch.hub, "load", lambda *_: Loaded())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = FEATURE_EXTRACTORS_REGISTRY[extractor.name](
            extractor.name, [layer], feature_extractor_weights_path=path
        )
    return lambda image: network(image)[0]


def _images() -> Tensor:
    """Five small images of coloured fields, higher than wide."""
    fields = torch.randint(0, 256, (5, 3, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return fields.repeat_interleave(7, 2).repeat_interleave(7, 3)[:, :, 1:, 2:]


def test_features_of_torch_fidelity(extractor: PublishedNetwork, theirs: Callable[[Tensor], Tensor]) -> None:
    image = _images()
    with torch.no_grad():
        mine, expected = extractor(image).features, theirs(image)
        spread = expected.std(0).mean().item()
        assert spread > 0.1 * expected.std()  # different images look different
        torch.testing.assert_close(mine, expected, rtol=0.0, atol=1e-4 * spread)
        grey = extractor(image[:, :1])
        torch.testing.assert_close(grey.features, theirs(image[:, :1].repeat(1, 3, 1, 1)), rtol=0.0, atol=1e-4 * spread)
        assert grey.logits is None and not extractor.state_dict()


def _errors(extractor: PublishedNetwork, *others: tuple[nn.Module, Any]) -> list[float]:
    """Measures networks' errors against float64, as root mean square and relative to the features' spread."""
    image = _images()
    with feature_arithmetic(CPU):
        exact = extractor.network.double()(image)
    extractor.network.float()
    found = []
    for network, precision in others:
        with feature_arithmetic(CPU, precision):
            error = network(image).double() - exact
        found.append((error.square().mean().sqrt() / exact.std(0).square().mean().sqrt()).item())
    return found


def test_error_against_float64(extractor: PublishedNetwork) -> None:
    single, half = _errors(extractor, (extractor.network, "float32"), (extractor.network, "bfloat16"))
    assert single < 2e-5
    assert 1e-4 < half < 0.05


def test_compiled(tmp_path: Path, make_clip: Callable[..., Any], squares: Callable[..., ImageData]) -> None:
    make_clip(tmp_path / "clip.pt", layers=1)
    plain, compiled = (
        CLIP(weights_path=str(tmp_path / "clip.pt"), weights_sha256=_digest(tmp_path / "clip.pt"), compile=compile)
        for compile in (False, True)
    )
    for extractor in (plain, compiled):
        extractor.prepare(squares(2), CPU)
    (error,) = _errors(plain, (compiled.network, "float32"))
    assert error < 2e-5 and compiled.describe() == plain.describe()
    assert compiled.network is not plain.network and not compiled.state_dict()


def test_gated_layers_of_the_largest_dinov2(
    make_dinov2: Callable[..., dict[str, Tensor]], reference_dinov2: Callable[..., Callable[[Tensor], Tensor]]
) -> None:
    state = make_dinov2(128, 2, gated=True, hidden=96)
    image = torch.randn(3, 3, 70, 70, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine, expected = dinov2_network(state, 70)(image), reference_dinov2(state)(image.double())
    torch.testing.assert_close(mine.double(), expected, rtol=0.0, atol=2e-5)
    assert expected.std(0).mean() > 0.1
    state["blocks.1.mlp.w12.bias"][96:] += 0.1  # of the values, not the gates
    with torch.no_grad():
        assert (dinov2_network(state, 70)(image) - mine).abs().max() > 1e-3


def test_resnet_of_clip(tmp_path: Path, make_clip: Callable[..., Any], squares: Callable[..., ImageData]) -> None:
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    path = tmp_path / "rn50.pt"
    state = make_clip(path, resnet=True)
    clip = CLIP("rn50", str(path), _digest(path))
    clip.prepare(squares(2), CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = FeatureExtractorCLIP("clip-rn50", ["clip"], feature_extractor_weights_path=str(path))
    with torch.no_grad():
        mine, (expected,) = clip(_images()).features, theirs(_images())
    assert expected.std(0).mean() > 0.01 * expected.std()
    torch.testing.assert_close(mine, expected, rtol=0.0, atol=1e-3 * expected.std(0).mean().item())
    torch.save(state, tmp_path / "state.pth")  # the images' part alone, as tensors
    alone = CLIP("rn50", str(tmp_path / "state.pth"))
    alone.prepare(squares(2), CPU)
    assert alone.describe() == clip.describe()


def test_other_weights(tmp_path: Path, dinov2_path: Path, clip_path: Path, squares: Callable[..., ImageData]) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({"weight": Path("code")}, tmp_path / "unsafe.pth")
    (tmp_path / "half.pth").write_bytes(dinov2_path.read_bytes()[: 10**6])
    networks: tuple[Callable[[str], Extractor], ...] = (
        lambda path: DINOv2("vit-s-14", path),
        lambda path: CLIP(weights_path=path),
        lambda path: VGG16(weights_path=path),
    )
    for create in networks:
        for name, message in (
            ("other", "does not hold the weights of"),
            ("unsafe", "damaged or not a file of weights"),
            ("half", "damaged or not a file of weights"),
            ("nowhere", "does not exist"),
        ):
            with pytest.raises(UserError, match=message) as caught:
                create(str(tmp_path / f"{name}.pth")).prepare(squares(2), CPU)
            assert "\n" not in str(caught.value)
        with pytest.raises(UserError, match="grey or RGB"):
            create("nowhere").prepare(squares(2, channels=2), CPU)
    for wrong in (DINOv2("vit-b-14", str(dinov2_path)), CLIP("vit-b-16", str(clip_path), _digest(clip_path))):
        with pytest.raises(UserError, match=f"does not hold the weights of {wrong.name}"):
            wrong.prepare(squares(2), CPU)
    with pytest.raises(UserError, match="TorchScript"):
        CLIP(weights_path=str(clip_path)).prepare(squares(2), CPU)
    with pytest.raises(UserError, match="did you mean 'vit-s-14'"):
        DINOv2("vits14")  # type: ignore[arg-type]


def test_absent_weights(
    tmp_path: Path, cache_dir: Path, squares: Callable[..., ImageData], monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for extractor, file in (
        (DINOv2("vit-g-14"), "dinov2_vitg14_pretrain.pth"),
        (CLIP(), "clip-vit-b-32-40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af.pt"),
        (VGG16(), "vgg16-397923af.pth"),
    ):
        with pytest.raises(UserError) as caught:
            extractor.prepare(squares(2), CPU)
        message = str(caught.value)
        assert str(tmp_path / "hub" / "checkpoints" / file) in message and "https://" in message
        assert "\n" not in message and extractor.published().file == file


def test_protocol_sees_variant_layer_and_weights(
    vgg16: VGG16, dinov2: DINOv2, squares: Callable[..., ImageData], cache_dir: Path
) -> None:
    found = []
    for extractor in (dinov2, vgg16, VGG16("fc2", vgg16.weights_path)):
        evaluator = Evaluator(extractor, "kid", num_samples=3, num_real=2, batch_size=2)
        evaluator.prepare(squares(3))
        found.append(evaluator.evaluate(batch["image"] for batch in squares(3).batches("val", 3)).protocol)
    assert [one.extractor for one in found] == ["dinov2-vit-s-14", "vgg16", "vgg16-fc2"]
    assert found[1].extractor_hash == found[2].extractor_hash != found[0].extractor_hash
    assert len({one.hash for one in found}) == 3 and all("224" in one.resize for one in found)
    with torch.no_grad():
        before, after = extractor(_images()).features, vgg16(_images()).features
    torch.testing.assert_close(before.relu(), after, rtol=1e-5, atol=1e-5)
    assert before.min() < 0.0
    assert found[0].extractor_hash == weights_hash(torch.load(str(dinov2.weights_path)))
