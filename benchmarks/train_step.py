"""Steps per second of `Trainer.fit` with lit_gen's GAN over a plain PyTorch loop with the same networks.

Both train a DCGAN on the same uint8 images in memory, batch 64, 28×28, with what each would usually do beside: the loop
keeps an EMA of the generator and writes its losses to TensorBoard every 50 steps; fit runs the callbacks that the
command line always adds (scores and grids aside, which are work of their own), with TensorBoard, metrics.csv and the
progress bar. The two take turns; the median of the ratios is the result.

    python benchmarks/train_step.py --steps 200

`--variants` compares fit's switches with the same plain loop (eager, float32): how much each is worth here. On CUDA the
device's idle share and peak memory are printed too.
"""

import argparse
import contextlib
import io
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch.nn.functional import softplus
from torch.utils.tensorboard import SummaryWriter

from lit_gen.callbacks import EMA, DivergenceGuard, Preemption, ProgressBar, RunCheckpoints, Throughput
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.quantize import from_uint8
from lit_gen.models import GAN
from lit_gen.nn.dcgan import DCGANDiscriminator, DCGANGenerator
from lit_gen.training.optimizers import AdversarialAdam
from lit_gen.training.options import TrainingOptions

SHAPE, BATCH, LATENT, WARMUP = (1, 28, 28), 64, 100, 10


class Variant(NamedTuple):
    """One way to run fit."""

    options: dict[str, Any] = {}  # noqa: RUF012 (read only)
    precision: str = "32-true"
    fused: bool = False
    on_device: bool = False


VARIANTS = {
    "default": Variant(),
    "channels_last": Variant({"channels_last": True}),
    "compile": Variant({"compile": True}),
    "fused": Variant(fused=True),
    "on_device": Variant(on_device=True),
    "tf32": Variant({"matmul_precision": "high"}),
    "bf16": Variant(precision="bf16-mixed"),
    "all": Variant({"channels_last": True, "compile": True, "matmul_precision": "high"}, "bf16-mixed", True, True),
}


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


def fit(steps: int, features: int, device: torch.device, variant: Variant) -> float:
    """Returns the seconds that `steps` steps take."""
    clock, folder = Clock(device), tempfile.mkdtemp()
    adam = partial(AdversarialAdam, fused=True) if variant.fused else AdversarialAdam
    model = Loaded(
        SHAPE,
        latent_dim=LATENT,
        generator=partial(DCGANGenerator, features=features),
        discriminator=partial(DCGANDiscriminator, features=features),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        options=TrainingOptions(**variant.options),
    )
    checkpoints = RunCheckpoints()
    checkpoints.folder = Path(folder)
    trainer = Trainer(
        max_steps=WARMUP + steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=variant.precision,
        logger=[TensorBoardLogger(folder), CSVLogger(folder, flush_logs_every_n_steps=1)],
        callbacks=[EMA(), DivergenceGuard(), Throughput(), ProgressBar(), Preemption(), checkpoints, clock],
        enable_model_summary=False,
    )
    data = images().to(device) if variant.on_device else images()
    loader = TensorLoader({"image": data}, BATCH, shuffle=True, drop_last=True)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.fit(model, loader)
    torch.set_float32_matmul_precision("highest")
    return clock.seconds


def measured(run: Callable[[], float], device: torch.device) -> tuple[float, str]:
    """Returns a run's seconds and, on CUDA, what it says of the device: peak memory and the share of time at rest."""
    if device.type != "cuda":
        return run(), ""
    torch.cuda.reset_peak_memory_stats(device)
    seconds = run()
    peak = torch.cuda.max_memory_allocated(device) / 2**20
    # Profiling slows a run down, so the time at work comes from a run of its own.
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        profiled = run()
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return seconds, f", peak {peak:.0f} MiB, device idle {max(0.0, 1 - busy / profiled):.0%} (profiled)"


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="timed steps per run")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, taking turns")
    parser.add_argument("--features", type=int, default=64, help="channels of the finest hidden map")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=["default"], help="none given: all of them")
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = arguments.variants or list(VARIANTS)
    setting = arguments.steps, arguments.features, device
    print(f"{device}, {torch.get_num_threads()} threads, batch {BATCH}, {arguments.features} features")
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for run in range(arguments.runs):
        sides = {"plain loop": partial(plain_loop, *setting)}
        sides |= {name: partial(fit, *setting, VARIANTS[name]) for name in names}
        order = list(sides) if run % 2 == 0 else list(sides)[::-1]
        seconds = {side: measured(sides[side], device) for side in order}
        for side, (taken, more) in seconds.items():
            print(f"run {run + 1}  {side:<14} {arguments.steps * BATCH / taken:9,.0f} images/s{more}", flush=True)
        for name in names:
            ratios[name].append(seconds["plain loop"][0] / seconds[name][0])
    for name, values in ratios.items():
        print(f"fit ({name}) / plain loop: median {statistics.median(values):.3f}")


if __name__ == "__main__":
    main()
