import pytest
import torch

from lit_gen.datamodules.augment import random_flip, uniform_hash


def numbers(seed, epoch, size=100_000):
    index = torch.arange(size)
    return uniform_hash(seed, torch.full_like(index, epoch), index).double()


def test_known_values():
    # SplitMix64 seeded with 0 begins with this number, of whose first 24 bits the hash is made.
    zero = torch.zeros(1, dtype=torch.int64)
    first = 0xE220A8397B1DCDAF
    mask = (1 << 64) - 1

    def mix(key):
        key = ((key ^ key >> 30) * 0xBF58476D1CE4E5B9) & mask
        key = ((key ^ key >> 27) * 0x94D049BB133111EB) & mask
        return key ^ key >> 31

    assert mix(0x9E3779B97F4A7C15) == first
    expected = mix((first + 0x9E3779B97F4A7C15) & mask) >> 40
    assert uniform_hash(0, zero, zero).item() == expected / 2**24


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (1, 0), (-7, 12), (2**63, 3)])
def test_uniform(seed, epoch):
    u = numbers(seed, epoch)
    assert u.min() >= 0 and u.max() < 1
    counts = torch.histc(u, 64, 0, 1)
    chi2 = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 63 - 5 * (2 * 63) ** 0.5 < chi2 < 63 + 5 * (2 * 63) ** 0.5


@pytest.mark.parametrize("other", [(0, 1), (1, 0), (1, 1)], ids=["epoch", "seed", "both"])
@pytest.mark.parametrize("lag", [0, 1, 2, 64])
def test_independent_across_index_epoch_and_seed(other, lag):
    a, b = numbers(0, 0), numbers(*other)
    pairs = torch.stack([a[: len(a) - lag], b[lag:]])
    assert abs(torch.corrcoef(pairs)[0, 1]) < 4 / len(a) ** 0.5
    agree = ((pairs[0] < 0.5) == (pairs[1] < 0.5)).double().mean()
    assert abs(agree - 0.5) < 4 * 0.5 / len(a) ** 0.5


def test_neighbours_are_independent():
    u = numbers(0, 0)
    for lag in (1, 2, 3, 64):
        assert abs(torch.corrcoef(torch.stack([u[:-lag], u[lag:]]))[0, 1]) < 4 / len(u) ** 0.5


def test_flip_depends_on_the_image_not_on_its_batch():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (40, 3, 4, 5), generator=generator, dtype=torch.uint8)
    index, epoch = torch.arange(40), torch.full((40,), 3)
    whole = random_flip(image, 1, epoch, index)
    shuffled = torch.randperm(40, generator=generator)
    assert torch.equal(random_flip(image[shuffled], 1, epoch, index[shuffled]), whole[shuffled])
    for i in range(40):
        assert torch.equal(random_flip(image[i : i + 1], 1, epoch[:1], index[i : i + 1])[0], whole[i])


def test_flip_mirrors_about_half():
    image = torch.arange(3, dtype=torch.uint8).expand(1000, 1, 2, 3)
    index = torch.arange(1000)
    flipped = random_flip(image, 0, torch.zeros_like(index), index)
    mirrored = (flipped == image.flip(-1)).all(dim=(1, 2, 3))
    assert ((flipped == image).all(dim=(1, 2, 3)) | mirrored).all()
    assert 430 < mirrored.sum() < 570


@pytest.mark.gpu
def test_same_on_the_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    index = torch.arange(1000)
    epoch = torch.full_like(index, 5)
    assert torch.equal(uniform_hash(9, epoch.cuda(), index.cuda()).cpu(), uniform_hash(9, epoch, index))
