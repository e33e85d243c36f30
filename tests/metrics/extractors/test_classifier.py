"""The classifier: accurate, deterministic, trained once."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_gen import datamodules
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.metrics import split_batches
from lit_gen.metrics.extractors import Classifier, classifier_network

CPU = torch.device("cpu")


def _sha256(data: ImageData, cache_dir: Path) -> str:
    classifier = Classifier(cache_dir=str(cache_dir))
    classifier.prepare(data, CPU)
    return str(classifier.describe()["sha256"])


def test_digits(cache_dir: Path) -> None:
    data = datamodules.Digits()
    data.prepare_data()
    data.setup("test")
    classifier = Classifier()
    classifier.prepare(data, CPU)
    image = torch.cat([image for _, image in split_batches(data, "test")])
    label = torch.cat([batch["label"] for batch in data.batches("test", 64)])
    features, logits, _ = classifier(image)
    accuracy = (logits.argmax(1) == label).float().mean().item()
    assert accuracy >= 0.96
    assert classifier.describe()["accuracy"] == pytest.approx(accuracy)
    assert features.shape == (len(image), 128) and logits.shape == (len(image), 10)
    assert features.isfinite().all() and not features.requires_grad


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("MNIST", 0.98), ("FashionMNIST", 0.90)])
def test_accuracy(name: str, least: float, data_root: Path, cache_dir: Path) -> None:
    data = getattr(datamodules, name)(root=str(data_root))
    data.prepare_data()
    data.setup("test")
    classifier = Classifier()
    classifier.prepare(data, CPU)
    assert classifier.describe()["accuracy"] >= least


def test_deterministic_whatever_the_threads(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    data, threads = squares(), torch.get_num_threads()
    found = []
    try:
        for number, setting in enumerate((1, 2, 2)):
            torch.set_num_threads(setting)
            torch.randn(number)
            found.append(_sha256(data, tmp_path / str(number)))
            assert torch.get_num_threads() == setting
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]
    assert _sha256(squares(seed=1), tmp_path / "other") != found[0]


def test_trained_once(
    squares: Callable[..., ImageData],
    cache_dir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = squares()
    with caplog.at_level(logging.INFO, "lit_gen"):
        first = _sha256(data, cache_dir)
        assert "Training the classifier of squares on 200 images" in caplog.text
        caplog.clear()
        assert _sha256(data, cache_dir) == first and not caplog.text
        (entry,) = (cache_dir / "classifier").iterdir()
        entry.write_bytes(entry.read_bytes()[:1000])
        assert _sha256(data, cache_dir) == first and "Training" in caplog.text
        caplog.clear()
        _sha256(squares(seed=1), cache_dir)
        assert "Training" in caplog.text
        caplog.clear()
        monkeypatch.setattr("lit_gen.metrics.extractors.classifier.VERSION", classifier_network.VERSION + 1)
        _sha256(data, cache_dir)
        assert "Training" in caplog.text


def test_another_seed_is_another_classifier(
    squares: Callable[..., ImageData], cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def untrained(image: torch.Tensor, label: torch.Tensor, num_classes: int, seed: int = 0) -> torch.nn.Module:
        seeds.append(seed)
        torch.manual_seed(seed)
        return classifier_network.ClassifierNetwork(image.shape[1:], num_classes).eval()

    monkeypatch.setattr("lit_gen.metrics.extractors.classifier.train_classifier", untrained)
    data, found = squares(), []
    for seed in (0, 1, 0, 1):
        classifier = Classifier(seed=seed)
        classifier.prepare(data, CPU)
        found.append(classifier.describe()["sha256"])
    assert seeds == [0, 1] and found[0] == found[2] != found[1] == found[3]


def test_gradients_pass_to_images_of_floats() -> None:
    network = classifier_network.ClassifierNetwork((1, 16, 16), 3).eval()
    image = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    x = (image / 127.5 - 1).requires_grad_()
    features, logits = network.of_floats(x)
    torch.testing.assert_close((features, logits), network(image))
    logits[0, 1].backward()
    assert x.grad is not None and (x.grad[0] != 0).any() and not x.grad[1].any()


def test_preparing_twice_reads_nothing(squares: Callable[..., Any], cache_dir: Path) -> None:
    data, classifier = squares(), Classifier()
    classifier.prepare(data, CPU)
    network = classifier.network
    data.read.clear()
    classifier.prepare(data, CPU)
    assert classifier.network is network and not data.read
    classifier.prepare(squares(size=24), CPU)
    assert classifier(torch.zeros(2, 1, 24, 24, dtype=torch.uint8)).features.shape == (2, 128)


def test_saved_weights_are_the_same_classifier(squares: Callable[..., ImageData], tmp_path: Path) -> None:
    data, trained, path = squares(), Classifier(cache_dir=str(tmp_path)), str(tmp_path / "weights.pt")
    trained.prepare(data, CPU)
    trained.save(path)
    loaded = Classifier(weights_path=path)
    loaded.prepare(data, CPU)
    assert loaded.describe() == trained.describe()
    with pytest.raises(UserError, match="does not hold a Classifier for the images of squares"):
        loaded.prepare(squares(size=32), CPU)
    with pytest.raises(UserError, match="does not exist"):
        Classifier(weights_path=path + "x").prepare(data, CPU)


@pytest.mark.parametrize(("size", "channels", "num"), [(8, 1, 2), (9, 2, 3), (40, 4, 5), (70, 3, 130)])
def test_any_size_and_number(
    size: int, channels: int, num: int, squares: Callable[..., ImageData], cache_dir: Path
) -> None:
    classifier, data = Classifier(), squares(num, size, channels)
    classifier.prepare(data, CPU)
    features, logits, _ = classifier(torch.zeros(3, *data.image_shape, dtype=torch.uint8))
    assert features.shape == (3, 128) and logits.shape == (3, 4) and logits.isfinite().all()


def test_one_class_is_certain(squares: Callable[..., ImageData], cache_dir: Path) -> None:
    classifier = Classifier()
    classifier.prepare(squares(classes=1), CPU)
    assert classifier.describe()["accuracy"] == 1.0


def test_what_it_cannot_be_trained_on(squares: Callable[..., ImageData]) -> None:
    for settings, message in (
        ({"classes": None}, "no labels.*InceptionV3"),
        ({"num": 1}, "fewer than 2"),
        ({"size": 6}, "at least 8 × 8.* 6 × 6"),
    ):
        with pytest.raises(UserError, match=message):
            Classifier().prepare(squares(**settings), CPU)
