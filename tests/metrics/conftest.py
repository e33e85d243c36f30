"""A small source of images, and a random Inception that sees."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_gen.contracts import Batch, Shape


class Squares:
    """Grey images with a bright square whose place tells the class; the rest is noise."""

    name = "squares"

    def __init__(
        self, num: int = 200, size: int = 16, channels: int = 1, classes: int | None = 4, seed: int = 0
    ) -> None:
        self.image_shape: Shape = (channels, size, size)
        self.num_classes = classes
        self.class_names = [str(label) for label in range(classes)] if classes else None
        self.read: list[str] = []
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        generator = torch.Generator().manual_seed(seed)
        for split in ("train", "val", "test"):
            image = torch.randint(0, 100, (num, *self.image_shape), generator=generator, dtype=torch.uint8)
            label = torch.randint(0, classes or 4, (num,), generator=generator)
            for one, place in zip(image, label.tolist(), strict=True):
                top, left = place // 2 % 2 * size // 2, place % 2 * size // 2
                one[:, top : top + size // 2, left : left + size // 2] += 120
            self._splits[split] = image, label

    def fingerprint(self, split: str) -> str:
        return hashlib.sha256(b"".join(part.numpy().tobytes() for part in self._splits[split])).hexdigest()

    def num_images(self, split: str) -> int:
        return len(self._splits[split][0])

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        self.read.append(split)
        image, label = self._splits[split]
        for index in torch.arange(len(image)).split(batch_size):
            batch = {"image": image[index], "index": index}
            yield {**batch, "label": label[index]} if self.num_classes else batch


@pytest.fixture
def squares() -> Callable[..., Squares]:
    """Makes small sources of images: number per split, size, channels, classes, seed."""
    return Squares


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, in the environment too."""
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with random weights for torch-fidelity's Inception whose features tell images apart.

    Default initialisation gives almost constant features, and any two implementations agree on those: weights are drawn
    by He's rule, and batch norm gets its statistics from images.
    """
    inception_v3 = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Blank(inception_v3.FeatureExtractorInceptionV3):  # type: ignore[misc, name-defined]
        def load_state_dict(self, *_: object) -> None:
            """Keeps what it was initialised with."""

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with torch.random.fork_rng(devices=[]):
        network = Blank("blank", ["logits_unbiased"], feature_extractor_weights_path=folder / "empty.pth")
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            gain = 8.0 if isinstance(module, nn.Linear) else 2.0  # logits that differ enough for a score above 1
            module.weight.data.normal_(0.0, (gain / fan_in) ** 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    image = torch.cat([batch["image"] for batch in Squares(24, channels=3).batches("train", 24)])
    with torch.no_grad():
        network.train()(image)
    path = folder / "inception.pth"
    torch.save(network.state_dict(), path)
    return path
