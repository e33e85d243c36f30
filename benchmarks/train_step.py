"""Steps per second of `Trainer.fit` with lit_gen's GAN over a plain PyTorch loop with the same networks.

Both train a DCGAN on the same uint8 images in memory, batch 64, 28×28, with what each would usually do beside: the loop
keeps an EMA of the generator and writes its losses to TensorBoard every 50 steps; fit runs the callbacks that the
command line always adds, with TensorBoard, metrics.csv and the progress bar. The two take turns; the median of the
ratios is the result.

    python benchmarks/train_step.py --steps 200
"""

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from copy import deepcopy
from functools import partial

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch.nn.functional import softplus
from torch.utils.tensorboard import SummaryWriter

from lit_gen.callbacks import EMA, DivergenceGuard, ProgressBar, Throughput
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.quantize import from_uint8
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.optimizers import AdversarialAdam

SHAPE, BATCH, LATENT, WARMUP = (1, 28, 28), 64, 100, 10


def images(num: int = 6400) -> torch.Tensor:
    return torch.randint(0, 256, (num, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def plain_loop(steps: int, features: int, device: torch.device) -> float:
    """Returns the seconds that `steps` steps take."""
    data, folder = images().to(device), tempfile.mkdtemp()
    generator = DCGANGenerator(SHAPE, LATENT, features=features).to(device)
    discriminator = DCGANDiscriminator(SHAPE, features=features).to(device)
    average = deepcopy(generator).requires_grad_(False)
    adam_g, adam_d = AdversarialAdam(generator.parameters()), AdversarialAdam(discriminator.parameters())
    writer = SummaryWriter(folder)
    start = 0.0
    for step in range(WARMUP + steps):
        if step == WARMUP:
            _synchronise(device)
            start = time.perf_counter()
        x = from_uint8(data[torch.randint(0, len(data), (BATCH,), device=device)])
        adam_d.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, LATENT, device=device))
        loss_d = softplus(-discriminator(x)).mean() + softplus(discriminator(fake)).mean()
        loss_d.backward()
        adam_d.step()
        # Frozen in the generator's phase: the gradients of its parameters would be thrown away.
        discriminator.requires_grad_(False)
        adam_g.zero_grad()
        loss_g = softplus(-discriminator(generator(torch.randn(BATCH, LATENT, device=device)))).mean()
        loss_g.backward()
        adam_g.step()
        discriminator.requires_grad_(True)
        with torch.no_grad():
            for kept, new in zip(average.parameters(), generator.parameters(), strict=True):
                kept.lerp_(new, 0.001)
        if (step + 1) % 50 == 0:
            writer.add_scalar("loss/discriminator", loss_d.item(), step + 1)
            writer.add_scalar("loss/generator", loss_g.item(), step + 1)
    _synchronise(device)
    return time.perf_counter() - start


class Clock(Callback):
    """Times the steps after the warm-up."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.start, self.seconds = device, 0.0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: GAN, batch: object, batch_idx: int) -> None:
        if trainer.global_step == WARMUP:
            _synchronise(self.device)
            self.start = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: GAN) -> None:
        _synchronise(self.device)
        self.seconds = time.perf_counter() - self.start


class Loaded(GAN):
    """Takes uint8 batches without a datamodule, by the same conversion."""

    def on_after_batch_transfer(self, batch: dict[str, torch.Tensor], dataloader_idx: int) -> dict[str, torch.Tensor]:
        return {**batch, "image": from_uint8(batch["image"])}


def fit(steps: int, features: int, device: torch.device) -> float:
    """Returns the seconds that `steps` steps take."""
    clock, folder = Clock(device), tempfile.mkdtemp()
    model = Loaded(
        SHAPE,
        latent_dim=LATENT,
        generator=partial(DCGANGenerator, features=features),
        discriminator=partial(DCGANDiscriminator, features=features),
    )
    trainer = Trainer(
        max_steps=WARMUP + steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        logger=[TensorBoardLogger(folder), CSVLogger(folder, flush_logs_every_n_steps=1)],
        callbacks=[EMA(), DivergenceGuard(), Throughput(), ProgressBar(), clock],
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    loader = TensorLoader({"image": images()}, BATCH, shuffle=True, drop_last=True)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.fit(model, loader)
    return clock.seconds


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="timed steps per run")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, taking turns")
    parser.add_argument("--features", type=int, default=64, help="channels of the finest hidden map")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ratios = []
    for run in range(arguments.runs):
        pair = [plain_loop, fit] if run % 2 == 0 else [fit, plain_loop]
        seconds = {side: side(arguments.steps, arguments.features, device) for side in pair}
        ratios.append(seconds[plain_loop] / seconds[fit])
        ours, theirs = (arguments.steps / seconds[side] for side in (fit, plain_loop))
        print(f"run {run + 1}: fit {ours:.2f} steps/s, plain loop {theirs:.2f} steps/s, ratio {ratios[-1]:.3f}")
    print(f"fit / plain loop: median {statistics.median(ratios):.3f} ({device}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
