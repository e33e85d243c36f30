"""Images per second of our MNIST loader over torchvision's dataset with a DataLoader, both up to float32 in [−1, 1]."""

__all__ = ["main"]

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import torch
from torch.utils.data import DataLoader

from lit_gen.datamodules import MNIST
from lit_gen.datamodules.image_data import data_root


def ours(root: str, batch_size: int) -> Callable[[], int]:
    data = MNIST(root=root, batch_size=batch_size)
    loader = data.train_dataloader()
    # Lightning calls the conversion on every batch; here it is timed along with the loader.
    return lambda: consume(data.on_after_batch_transfer(batch, 0)["image"] for batch in loader)


def torchvisions(root: str, batch_size: int, num_workers: int) -> Callable[[], int]:
    from torchvision import datasets, transforms

    to_float = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    # As many images as ours has to train on.
    dataset = torch.utils.data.Subset(datasets.MNIST(root, train=True, transform=to_float), range(55_000))
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True, num_workers=num_workers)
    return lambda: consume(image for image, _ in loader)


def consume(images: Iterable[torch.Tensor]) -> int:
    count = 0
    for image in images:
        assert image.dtype == torch.float32
        count += len(image)
    return count


def rate(epoch: Callable[[], int]) -> float:
    start = time.perf_counter()
    return epoch() / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", help="the folder that holds MNIST/raw; by default LIT_GEN_DATA, or else data")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    root = str(data_root(options.root))
    # One thread, as in a DataLoader's workers: batches are so small that threads mostly wait for each other. It takes
    # nothing from torchvision, whose single images torch never splits, and whose workers still are processes.
    torch.set_num_threads(1)
    contestants = {
        "lit_gen": ours(root, options.batch_size),
        "torchvision, 0 workers": torchvisions(root, options.batch_size, 0),
        "torchvision, 2 workers": torchvisions(root, options.batch_size, 2),
    }
    contestants["lit_gen"]()  # reads the files
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, epoch in contestants.items():
            rates[name].append(rate(epoch))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        print(f"{name:24} {median:12,.0f} images/s")
    best = max(median for name, median in medians.items() if name != "lit_gen")
    print(f"ratio                    {medians['lit_gen'] / best:12.1f}")


if __name__ == "__main__":
    main()
