"""Scores of pairs against closed forms, scipy and torchmetrics."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as reference
from torchmetrics.image import LearnedPerceptualImagePatchSimilarity
from torchvision.models import alexnet, squeezenet1_1
from torchvision.models.vgg import cfgs, make_layers

from lit_gen.errors import UserError
from lit_gen.metrics.extractors.published_weights import PublishedWeights
from lit_gen.metrics.perceptual_similarity import PerceptualSimilarity
from lit_gen.metrics.pixel_metrics import MeanAbsoluteError, PeakSignalNoiseRatio, StructuralSimilarity

CPU = torch.device("cpu")


def pairs(num: int, channels: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Smooth images, and the same with noise that grows from image to image."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num, channels, 4, 4, generator=generator)
    target = nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 255
    noise = torch.randn(target.shape, generator=generator) * torch.linspace(2, 60, num)[:, None, None, None]
    return (target + noise).clamp(0, 255).round().byte(), target.round().byte()


@pytest.mark.parametrize("offset", [1, 17, 255])
def test_a_constant_offset(offset: int) -> None:
    target = torch.zeros(3, 2, 5, 7, dtype=torch.uint8)
    output = target + offset
    psnr, error = PeakSignalNoiseRatio()(output, target), MeanAbsoluteError()(output, target)
    assert psnr.dtype == error.dtype == torch.float64
    assert psnr.tolist() == pytest.approx([20 * math.log10(255 / offset)] * 3, rel=1e-7, abs=1e-7)
    assert error.tolist() == pytest.approx([offset / 255] * 3, rel=1e-14)
    # uint8 must not wrap around where the output is the darker one.
    assert torch.equal(MeanAbsoluteError()(target, output), error)


def test_images_that_come_back_exactly() -> None:
    image, _ = pairs(4, 3, 16, 12)
    assert PeakSignalNoiseRatio()(image, image).tolist() == [100.0] * 4
    assert StructuralSimilarity()(image, image).tolist() == pytest.approx([1.0] * 4, abs=1e-12)
    assert MeanAbsoluteError()(image, image).tolist() == [0.0] * 4


def ssim(x: numpy.ndarray, y: numpy.ndarray) -> float:
    """Wang's equation (13), channel by channel, windows by scipy; float64 values in [0, 1] of shape [C, H, W]."""

    def blur(image: numpy.ndarray) -> numpy.ndarray:
        return numpy.stack([ndimage.gaussian_filter(it, 1.5, truncate=3.5, mode="mirror") for it in image])

    c1, c2 = 0.01**2, 0.03**2
    mu_x, mu_y = blur(x), blur(y)
    var_x, var_y, cov = blur(x * x) - mu_x**2, blur(y * y) - mu_y**2, blur(x * y) - mu_x * mu_y
    index = (2 * mu_x * mu_y + c1) * (2 * cov + c2) / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2))
    return float(index.mean())


@pytest.mark.parametrize("shape", [(1, 11, 11), (3, 17, 29)])
def test_ssim_is_that_of_the_paper(shape: tuple[int, int, int]) -> None:
    output, target = pairs(5, *shape)
    metric = StructuralSimilarity()
    metric.prepare(shape, CPU)
    expected = [ssim(x.numpy() / 255, y.numpy() / 255) for x, y in zip(output, target, strict=True)]
    assert metric(output, target).tolist() == pytest.approx(expected, abs=1e-7)  # torchmetrics' window is float32's
    assert expected[0] > expected[-1] + 0.1  # more noise, less alike


def test_many_images_are_compared_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    output, target = pairs(7, 3, 16, 16)
    whole = {metric: metric(output, target) for metric in (StructuralSimilarity(), PeakSignalNoiseRatio())}
    monkeypatch.setattr("lit_gen.metrics.paired_metric._VALUES", 2 * output[0].numel() + 1)
    for metric, scores in whole.items():
        assert metric(output, target).tolist() == pytest.approx(scores.tolist(), rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 10, 28), (1, 28, 10), (3, 8, 8)])
def test_images_smaller_than_the_window(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UserError, match=rf"windows of 11×11 pixels, but the images are of {shape[1]}×{shape[2]}"):
        StructuralSimilarity().prepare(shape, CPU)


def backbone(network: str) -> nn.Module:
    """The layers of a torchvision network with seeded weights, without the large classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if network == "vgg":
            return make_layers(cfgs["D"])
        features: nn.Module = {"alex": alexnet, "squeeze": squeezenet1_1}[network]().features
        return features


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes files as torchvision's are: the layers' names begin with ``features``."""
    folder = tmp_path_factory.mktemp("lpips")

    def make(network: str) -> tuple[nn.Module, str]:
        features, path = backbone(network), folder / f"{network}.pth"
        torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)
        return features, str(path)

    return make


@pytest.mark.parametrize(("network", "least"), [("vgg", 16), ("alex", 31), ("squeeze", 17)])
@pytest.mark.parametrize("channels", [1, 3])
def test_lpips_is_torchmetrics(
    network: Any, least: int, channels: int, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, path = weights(network)
    shape = (channels, least, least + 8)  # the least that the network sees
    output, target = pairs(4, *shape)
    metric = PerceptualSimilarity(network, path)
    metric.prepare(shape, CPU)
    scores = metric(output, target)

    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: features)
    theirs = LearnedPerceptualImagePatchSimilarity(net_type=network, reduction="none")
    colour = [image.float().expand(-1, 3, -1, -1) / 127.5 - 1 for image in (output, target)]
    expected = theirs.net(*colour).flatten()  # their `compute` adds up
    assert scores.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert float(expected.min()) > 1e-5 and float(expected.std() / expected.mean()) > 0.05  # it does tell images apart
    theirs.update(*colour)
    assert float(scores.mean()) == pytest.approx(float(theirs.compute().mean()), rel=1e-5)

    with pytest.raises(UserError, match=rf"lpips sees images of {least}×{least} or more by lpips_network {network}"):
        metric.prepare((channels, least, least - 1), CPU)


def test_lpips_takes_what_torch_hub_has(weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = weights("squeeze")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    content = Path(path).read_bytes()
    (tmp_path / "checkpoints" / "squeezenet1_1-b8a52dc0.pth").write_bytes(content)
    # Random weights are not what was published, but for a different hash they would not be used.
    published = replace(
        PublishedWeights.torchvision("SqueezeNet1_1_Weights.DEFAULT"), sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setattr(PublishedWeights, "torchvision", lambda name: published)
    named, found = PerceptualSimilarity("squeeze", path), PerceptualSimilarity("squeeze")
    output, target = pairs(2, 3, 20, 20)
    for metric in (named, found):
        metric.prepare((3, 20, 20), CPU)
    assert torch.equal(named(output, target), found(output, target))
    assert named.settings() == found.settings() and len(named.settings()["sha256"]) == 64


def test_lpips_without_its_weights(weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        UserError, match=r"vgg16-397923af\.pth and could not be downloaded \(no network\); get .*lpips_weights_path"
    ):
        PerceptualSimilarity().prepare((3, 32, 32), CPU)
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        PerceptualSimilarity("vgg", "nowhere.pth").prepare((3, 32, 32), CPU)
    _, path = weights("squeeze")
    with pytest.raises(UserError, match=r"squeeze\.pth does not hold the weights of torchvision's AlexNet"):
        PerceptualSimilarity("alex", path).prepare((3, 32, 32), CPU)
    with pytest.raises(UserError, match="these have 4 channels"):
        PerceptualSimilarity().prepare((4, 32, 32), CPU)
    with pytest.raises(UserError, match="lpips_network is 'resnet', but must be one of vgg, alex, squeeze"):
        PerceptualSimilarity("resnet")  # type: ignore[arg-type]
