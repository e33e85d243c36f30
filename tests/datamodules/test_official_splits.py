import gzip
import pickle
import struct

import numpy as np
import pytest
import torch

from lit_gen.datamodules import CIFAR10, MNIST, FashionMNIST
from lit_gen.datamodules.idx import check_idx, read_idx
from lit_gen.errors import UserError

SPLITS = ("train", "val", "test")
GENERATOR = np.random.default_rng(0)


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(params=["raw", "gzipped"])
def mnist_root(request, tmp_path):
    """A folder with a small MNIST in the real format."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, size in (("train", 60), ("t10k", 20)):
        images = GENERATOR.integers(0, 256, (size, 28, 28), np.uint8)
        labels = np.arange(size, dtype=np.uint8) % 10
        for file, data in ((f"{name}-images-idx3-ubyte", images), (f"{name}-labels-idx1-ubyte", labels)):
            if request.param == "raw":
                (folder / file).write_bytes(idx(data))
            else:
                (folder / f"{file}.gz").write_bytes(gzip.compress(idx(data)))
    return tmp_path


@pytest.fixture
def cifar_root(tmp_path):
    """A folder with a small CIFAR-10 in the real format: Python 2 pickles, here as protocol 2 with latin-1 strings."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for file in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {"data": GENERATOR.integers(0, 256, (20, 3072), np.uint8), "labels": [i % 10 for i in range(20)]}
        (folder / file).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def whole(data, split):
    batches = list(data.batches(split, 7))
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def test_mnist_files(mnist_root):
    data = MNIST(root=str(mnist_root), val_size=20)
    data.check()
    data.prepare_data()
    assert (data.name, data.image_shape, data.num_classes) == ("mnist", (1, 28, 28), 10)
    assert [data.num_images(split) for split in SPLITS] == [40, 20, 20]
    assert whole(data, "val")["label"].bincount().tolist() == [2] * 10
    rows = [tuple(row) for split in ("train", "val") for row in whole(data, split)["image"].flatten(1).tolist()]
    assert len(set(rows)) == 60, "train and val are disjoint"
    folder = mnist_root / "MNIST" / "raw"
    file = next(folder.glob("t10k-images*"))
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    assert whole(data, "test")["image"].numpy().tobytes() == raw[16:]


def test_resizing_averages(mnist_root):
    small = MNIST(root=str(mnist_root), val_size=20, image_size=(14, 7))
    images, originals = whole(small, "test")["image"], whole(MNIST(root=str(mnist_root), val_size=20), "test")["image"]
    assert images.shape == (20, 1, 14, 7) and images.dtype == torch.uint8
    assert abs(images.double().mean() - originals.double().mean()) < 2
    assert images.double().std() < 0.6 * originals.double().std(), "noise that is shrunk without averaging stays noise"


def test_cifar_files(cifar_root):
    data = CIFAR10(root=str(cifar_root), val_size=0.1)
    data.check()
    assert (data.name, data.image_shape, data.class_names[3]) == ("cifar10", (3, 32, 32), "cat")
    assert [data.num_images(split) for split in SPLITS] == [90, 10, 20]
    batch = pickle.loads((cifar_root / "cifar-10-batches-py" / "test_batch").read_bytes())
    images = whole(data, "test")
    assert images["image"].flatten(1).numpy().tolist() == batch["data"].tolist()
    assert images["label"].tolist() == batch["labels"]


@pytest.mark.parametrize("cls", [MNIST, FashionMNIST, CIFAR10])
def test_absent_data_set_says_what_to_do(cls, tmp_path):
    data = cls(root=str(tmp_path))
    assert data.image_shape and data.num_classes == 10
    for call in (data.check, data.train_dataloader, data.test_dataloader):
        with pytest.raises(UserError) as caught:
            call()
        message = str(caught.value)
        assert cls.__name__ in message and str(tmp_path) in message and "LIT_GEN_DATA" in message
        assert "--data.root" in message and "--data.download true" in message and "\n" not in message
    assert not list(tmp_path.iterdir())
    cls(root=str(tmp_path), download=True).check()


def test_single_absent_file_is_named(mnist_root):
    file = next((mnist_root / "MNIST" / "raw").glob("t10k-labels*"))
    file.unlink()
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte is missing"):
        MNIST(root=str(mnist_root)).check()


@pytest.mark.parametrize(("cls", "error"), [(MNIST, OSError("no network\nat all")), (CIFAR10, RuntimeError("404"))])
def test_failed_download_is_one_line(cls, error, tmp_path, monkeypatch):
    def fail(self):
        raise error

    monkeypatch.setattr(cls, "_download", fail)
    with pytest.raises(UserError, match=f"{cls.__name__} could not be downloaded to .*: (no network|404)$"):
        cls(root=str(tmp_path), download=True).prepare_data()


def test_download_is_asked_for_only_if_absent_and_wanted(mnist_root, tmp_path_factory, monkeypatch):
    asked = []
    monkeypatch.setattr(MNIST, "_download", lambda self: asked.append(self.root))
    MNIST(root=str(mnist_root), download=True).prepare_data()
    empty = tmp_path_factory.mktemp("empty")
    MNIST(root=str(empty)).prepare_data()
    assert asked == []
    MNIST(root=str(empty), download=True).prepare_data()
    assert asked == [empty]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:10], lambda data: data[:-1], lambda data: b"<html>" + data],
    ids=["empty", "header", "truncated", "html"],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("when", ["inside", "outside"])
def test_damaged_idx_is_named(tmp_path, damage, suffix, when):
    data = idx(np.zeros((5, 28, 28), np.uint8))
    path = tmp_path / f"images{suffix}"
    if suffix and when == "outside":
        path.write_bytes(damage(gzip.compress(data)))
    else:
        path.write_bytes(gzip.compress(damage(data)) if suffix else damage(data))
    with pytest.raises(UserError, match="delete it and download it anew") as caught:
        read_idx(path, 3)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    if not suffix:
        with pytest.raises(UserError, match="delete it"):
            check_idx(path, 3)


def test_idx_of_another_kind(tmp_path):
    (tmp_path / "labels").write_bytes(idx(np.zeros(5, np.uint8)))
    assert read_idx(tmp_path / "labels", 1).tolist() == [0] * 5
    with pytest.raises(UserError, match="not an idx file of uint8 with 3 dimensions"):
        read_idx(tmp_path / "labels", 3)


def test_labels_that_do_not_go_with_the_images(mnist_root):
    (mnist_root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, np.uint8)))
    with pytest.raises(UserError, match=r"t10k-images.* do not go with 19 labels"):
        MNIST(root=str(mnist_root), val_size=20).num_images("test")


class Evil:
    def __reduce__(self):
        return print, ("code from a pickle ran",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}q\x00",
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}),
        pickle.dumps({"data": np.zeros((2, 3000), np.uint8), "labels": [1, 2]}),
        pickle.dumps(Evil()),
    ],
    ids=["empty", "truncated", "unlabelled", "lengths", "labels", "shape", "code"],
)
def test_damaged_cifar_is_named(cifar_root, content, capsys):
    path = cifar_root / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a batch of CIFAR-10") as caught:
        CIFAR10(root=str(cifar_root), val_size=10).num_images("test")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.data
@pytest.mark.parametrize("cls", [MNIST, FashionMNIST])
def test_real_files_are_read_as_torchvision_reads_them(cls, data_root):
    from torchvision import datasets

    data = cls(root=str(data_root))
    data.check()
    reference = getattr(datasets, cls.__name__)(data_root, train=False)
    images = whole(data, "test")
    assert torch.equal(images["image"].squeeze(1), reference.data)
    assert torch.equal(images["label"], reference.targets)
    assert len(reference.classes) == data.num_classes
    if cls is FashionMNIST:
        assert list(data.class_names) == reference.classes
    assert [data.num_images(split) for split in SPLITS] == [55_000, 5_000, 10_000]
    assert whole(data, "val")["label"].bincount().tolist() == pytest.approx([500] * 10, abs=70)
    train, val = data._source("train"), data._source("val")
    reference = getattr(datasets, cls.__name__)(data_root, train=True)
    total = train["image"].double().sum() + val["image"].double().sum()
    assert total == reference.data.double().sum()
    per_class = train["label"].bincount() + val["label"].bincount()
    assert torch.equal(per_class, reference.targets.bincount())
