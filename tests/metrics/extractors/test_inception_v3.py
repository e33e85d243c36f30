"""torch-fidelity's Inception, and what is said when its weights cannot be had."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics.extractors import InceptionV3
from lit_gen.metrics.extractors import inception_v3 as own

inception_v3 = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
CPU = torch.device("cpu")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub cache, and no way to fill it."""

    def download(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_features_of_torch_fidelity(
    squares: Callable[..., ImageData], inception_weights: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = squares(num=3, size=20, channels=3)
    image = torch.cat([batch["image"] for batch in data.batches("test", 3)])[:, :, :, :13]
    theirs = inception_v3.FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=inception_weights
    )
    expected = theirs(image)
    hub.mkdir(parents=True)
    # Found where torch hub keeps it, under a name with its hash.
    file = f"weights-inception-{hashlib.sha256(inception_weights.read_bytes()).hexdigest()[:8]}.pth"
    (hub / file).symlink_to(inception_weights)
    assert own.URL == inception_v3.URL_INCEPTION_V3
    monkeypatch.setattr(own, "URL", f"https://nowhere.org/{file}")
    state = torch.get_rng_state()
    ours = InceptionV3()
    ours.prepare(data, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for mine, other in zip(ours(image)[:2], expected, strict=True):
            assert mine is not None and mine.shape == other.shape and mine.dtype == torch.float32
            assert other.std(0).mean() > 0.01  # different images look different
            # float32 noise: torch-fidelity's own network differs by as much from itself in another memory format.
            torch.testing.assert_close(mine, other, rtol=0.0, atol=3e-3 * other.std().item())
        torch.testing.assert_close(ours(image[:, :1]), ours(image[:, :1].repeat(1, 3, 1, 1)))
    assert len(ours.describe()["sha256"]) == 64 and "299" in ours.describe()["resize"]
    assert not ours.state_dict()


def test_absent_weights(squares: Callable[..., ImageData], hub: Path) -> None:
    with pytest.raises(UserError) as caught:
        InceptionV3().prepare(squares(), CPU)
    message = str(caught.value)
    assert "\n" not in message
    assert (
        str(hub / "weights-inception-2015-12-05-6726825d.pth") in message
        and "https://" in message
        and "--extractor.weights_path" in message
    )
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        InceptionV3("nowhere.pth").prepare(squares(), CPU)


def test_other_weights(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({"weight": Path("code")}, tmp_path / "unsafe.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    (tmp_path / "text.pth").write_text("404: not found")
    for name, message in (
        ("other", "does not hold the weights of torch-fidelity's InceptionV3"),
        ("unsafe", "damaged or not a file of weights"),
        ("tensor", "does not hold a state_dict"),
        ("text", "damaged or not a file of weights"),
    ):
        with pytest.raises(UserError, match=message):
            InceptionV3(str(tmp_path / f"{name}.pth")).prepare(squares(), CPU)


def test_odd_channels(squares: Callable[..., ImageData]) -> None:
    with pytest.raises(UserError, match="grey or RGB"):
        InceptionV3().prepare(squares(channels=2), CPU)
