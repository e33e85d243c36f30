"""Small networks that measure, trained on real images: the same weights wherever they are trained."""

__all__ = ["MOST_BYTES", "gather_training_images", "train_network"]

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from lit_gen.contracts import Batch, ImageData

MOST_BYTES = 2 * 1024**3  # of training images held in memory; beyond it, evenly spaced ones are trained on

N = TypeVar("N", bound=nn.Module)


def gather_training_images(
    data: ImageData, take: Callable[[Batch], tuple[Tensor, ...]], most_bytes: int = MOST_BYTES
) -> list[Tensor]:
    """Reads the training split, or evenly spaced images of it, into memory.

    Arguments:
        data: The images.
        take: Takes the tensors out of a batch that are to be kept, a row per image.
        most_bytes: The most that images may take, at a byte per number.

    Returns:
        The tensors, on the CPU.
    """
    channels, height, width = data.image_shape
    every = -(-data.num_images("train") * channels * height * width // most_bytes)
    parts: list[tuple[Tensor, ...]] = []
    start = 0
    for batch in data.batches("train", 512):
        taken = slice(-start % every, None, every)
        parts.append(tuple(tensor[taken].cpu() for tensor in take(batch)))
        start += len(batch["image"])
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def train_network(
    make: Callable[[], N],
    loss: Callable[[N, Tensor], Tensor],
    num: int,
    seed: int = 0,
    num_seen: int = 120_000,
    batch_size: int = 128,
    peak: float = 5e-3,
) -> N:
    """Trains a network on the CPU, in one thread: the weights are the same for any number of cores.

    Adam with decoupled weight decay, the learning rate rising over the first fifth of the steps and falling to 0. The
    global random number generators are left alone, and so are autocast and inference mode around the call.

    Arguments:
        make: Makes the network, drawing its initialisation from the global generator.
        loss: Returns the network's loss on some of the images, whose places are int64 [B].
        num: The number of images, at least 2.
        seed: Seeds the initialisation and the order of the images.
        num_seen: About how many images are seen in all, or 25 epochs where that is less.
        batch_size: The number of images in a batch.
        peak: The highest learning rate.

    Returns:
        The network, in evaluation mode.
    """
    batch_size, warm = min(num, batch_size), 0.2
    epochs = max(1, min(25, round(num_seen / num)))
    generator = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                network = make()
            network.to(memory_format=torch.channels_last)
            optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
            steps = epochs * (num // batch_size)
            for step in range(steps):
                start = step % (num // batch_size) * batch_size
                if start == 0:
                    order = torch.randperm(num, generator=generator)
                chosen = order[start : start + batch_size]
                value = loss(network, chosen)
                optimizer.param_groups[0]["lr"] = peak * min((step + 1) / steps / warm, (1 - step / steps) / (1 - warm))
                optimizer.zero_grad()
                torch.autograd.backward(value)
                optimizer.step()
    finally:
        torch.set_num_threads(threads)
    return network.eval()
