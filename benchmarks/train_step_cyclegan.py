"""Steps per second of `Trainer.fit` with lit_gen's CycleGAN over a plain PyTorch loop with the same networks.

As `train_step.py`, but for two generators, two discriminators and two pools: the loop does what the authors' code does
in a step, keeps an EMA of both generators and writes its losses to TensorBoard every 50 steps. The two take turns; the
median of the ratios is the result.

    python benchmarks/train_step_cyclegan.py --steps 20
"""

import argparse
import contextlib
import io
import itertools
import logging
import random
import statistics
import tempfile
import time
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.nn.functional import l1_loss
from torch.utils.tensorboard import SummaryWriter
from train_step import WARMUP, Clock

from lit_gen.callbacks import EMA, DivergenceGuard, Preemption, ProgressBar, RunCheckpoints, Throughput
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.quantize import from_uint8
from lit_gen.models import CycleGAN
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.training.optimizers import AdversarialAdam

SHAPE, POOL = (3, 64, 64), 50


def images(num: int = 200) -> Tensor:
    return torch.randint(0, 256, (num, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pooled(pool: list[Tensor], fakes: Tensor) -> Tensor:
    """Returns images, each itself or one of earlier, and keeps what it does not return."""
    returned = []
    for image in fakes:
        if len(pool) < POOL:
            pool.append(image)
        elif random.random() < 0.5:
            place = random.randrange(POOL)
            pool[place], image = image, pool[place]
        returned.append(image)
    return torch.stack(returned)


def plain_loop(steps: int, batch: int, features: int, device: torch.device) -> float:
    """Returns the seconds that `steps` steps take."""
    xs, ys = images().to(device), images().to(device)
    g, f = (ResNetTranslator(SHAPE, SHAPE, features=features).to(device) for _ in range(2))
    dx, dy = (PatchDiscriminator(SHAPE, features=features).to(device) for _ in range(2))
    average = [deepcopy(network).requires_grad_(False) for network in (g, f)]
    adam_g = AdversarialAdam(itertools.chain(g.parameters(), f.parameters()))
    adam_d = AdversarialAdam(itertools.chain(dx.parameters(), dy.parameters()))
    writer, pool_x, pool_y, start = SummaryWriter(tempfile.mkdtemp()), [], [], 0.0
    for step in range(WARMUP + steps):
        if step == WARMUP:
            _synchronise(device)
            start = time.perf_counter()
        x, y = (from_uint8(data[torch.randint(0, len(data), (batch,), device=device)]) for data in (xs, ys))
        for d in (dx, dy):
            d.requires_grad_(False)
        adam_g.zero_grad()
        fake_y, fake_x = g(x), f(y)
        loss_g = (dy(fake_y) - 1).square().mean() + (dx(fake_x) - 1).square().mean()
        loss_g = loss_g + 10 * (l1_loss(f(fake_y), x) + l1_loss(g(fake_x), y))
        loss_g = loss_g + 5 * (l1_loss(g(y), y) + l1_loss(f(x), x))
        loss_g.backward()
        adam_g.step()
        for d in (dx, dy):
            d.requires_grad_(True)
        adam_d.zero_grad()
        loss_d = torch.zeros((), device=device)
        for d, real, fake, pool in ((dy, y, fake_y, pool_y), (dx, x, fake_x, pool_x)):
            told = (d(real) - 1).square().mean() + d(pooled(pool, fake.detach())).square().mean()
            loss_d = loss_d + 0.5 * told
        loss_d.backward()
        adam_d.step()
        with torch.no_grad():
            for kept, new in zip(average, (g, f), strict=True):
                torch._foreach_lerp_(list(kept.parameters()), list(new.parameters()), 0.001)
        if (step + 1) % 50 == 0:
            writer.add_scalar("loss/discriminators", loss_d.item(), step + 1)
            writer.add_scalar("loss/generators", loss_g.item(), step + 1)
    _synchronise(device)
    return time.perf_counter() - start


class Loaded(CycleGAN):
    """Takes uint8 batches without a datamodule, by the same conversion."""

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return {**batch, "image": from_uint8(batch["image"]), "source": from_uint8(batch["source"])}


def fit(steps: int, batch: int, features: int, device: torch.device) -> float:
    """Returns the seconds that `steps` steps take."""
    clock, folder = Clock(device), tempfile.mkdtemp()
    model = Loaded(
        SHAPE,
        generator=partial(ResNetTranslator, features=features),
        discriminator=partial(PatchDiscriminator, features=features),
        pool_size=POOL,
    )
    checkpoints = RunCheckpoints()
    checkpoints.folder = Path(folder)
    trainer = Trainer(
        max_steps=WARMUP + steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        logger=[TensorBoardLogger(folder), CSVLogger(folder, flush_logs_every_n_steps=1)],
        callbacks=[EMA(), DivergenceGuard(), Throughput(), ProgressBar(), Preemption(), checkpoints, clock],
        enable_model_summary=False,
    )
    loader = TensorLoader({"source": images(), "image": images()}, batch, shuffle=True, drop_last=True)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.fit(model, loader)
    return clock.seconds


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="timed steps per run")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, taking turns")
    parser.add_argument("--batch", type=int, default=1, help="images of each domain per step")
    parser.add_argument("--features", type=int, default=32, help="channels of the finest hidden map")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setting = arguments.steps, arguments.batch, arguments.features, device
    print(f"{device}, {torch.get_num_threads()} threads, batch {arguments.batch}, {arguments.features} features")
    ratios = []
    for run in range(arguments.runs):
        sides = {"plain loop": plain_loop, "fit": fit}
        order = list(sides) if run % 2 == 0 else list(sides)[::-1]
        seconds = {side: sides[side](*setting) for side in order}
        for side, taken in seconds.items():
            print(f"run {run + 1}  {side:<10} {arguments.steps * arguments.batch / taken:9,.2f} images/s", flush=True)
        ratios.append(seconds["plain loop"] / seconds["fit"])
    print(f"fit / plain loop: median {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
