import pytest
import torch

from lit_gen.datamodules.augment import random_crop, random_flip, uniform_hash


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


def test_crops_are_boxes_of_the_image_and_every_place_is_as_likely():
    # The value of a pixel tells where it was.
    places = torch.arange(6 * 9, dtype=torch.int32).reshape(6, 9)
    index = torch.arange(6000)
    grid = places.expand(6000, 6, 9)
    boxes = random_crop(grid, (4, 7), 1, torch.full_like(index, 2), index)
    assert boxes.shape == (6000, 4, 7) and boxes.dtype == torch.int32
    top, left = boxes[:, 0, 0] // 9, boxes[:, 0, 0] % 9
    expected = (top[:, None, None] + torch.arange(4)[:, None]) * 9 + left[:, None, None] + torch.arange(7)
    assert torch.equal(boxes.long(), expected)
    counts = (top * 3 + left).bincount(minlength=9).double()
    assert len(counts) == 9 and ((counts - 6000 / 9) ** 2 / (6000 / 9)).sum() < 8 + 5 * 4
    many = torch.stack([grid, grid + 100], dim=1)
    assert torch.equal(random_crop(many, (4, 7), 1, torch.full_like(index, 2), index)[:, 1], boxes + 100)
    assert torch.equal(random_crop(grid, (6, 9), 1, index, index), grid)


def test_draws_of_an_image_are_independent():
    index = torch.arange(20_000)
    epoch = torch.zeros_like(index)
    grid = torch.arange(4, dtype=torch.int32).reshape(2, 2).expand(20_000, 2, 2)
    draws = []
    for stream in (0, 1):
        corner = random_crop(grid, (1, 1), 0, epoch, index, stream)[:, 0, 0]
        draws += [corner // 2, corner % 2, random_flip(grid, 0, epoch, index, stream)[:, 0, 0]]
    correlation = torch.corrcoef(torch.stack(draws).double()) - torch.eye(6)
    assert correlation.abs().max() < 4 / 20_000**0.5


@pytest.mark.gpu
def test_same_on_the_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    index = torch.arange(1000)
    epoch = torch.full_like(index, 5)
    assert torch.equal(uniform_hash(9, epoch.cuda(), index.cuda()).cpu(), uniform_hash(9, epoch, index))
    image = torch.arange(20, dtype=torch.uint8).reshape(1, 1, 4, 5).expand(1000, 3, 4, 5)
    there = random_crop(image.cuda(), (3, 3), 9, epoch.cuda(), index.cuda()).cpu()
    assert torch.equal(there, random_crop(image, (3, 3), 9, epoch, index))
