"""A diffusion model's training step and sampling, beside Hugging Face's diffusers with the same network.

Both train DDPM on the same uint8 images in memory, by AdamW with gradients clipped at 1:

* theirs: `UNet2DModel`, `DDPMScheduler` and the loop of the library's tutorial on unconditional generation, which reads
  its loss in every step; batches are slices of a tensor;
* ours: `Diffusion` through `Trainer.fit`, with the callbacks that the command line always adds (scores and grids
  aside), TensorBoard, metrics.csv and the progress bar.

Before anything is timed, ours is given their weights: outputs, losses and DDIM's samples must be the same. Then
samples are drawn with the same number of evaluations of the network: `Diffusion.sample` against their `DDIMScheduler`.
The sides take turns; the median of the runs' ratios is the result, above 1 where ours is faster. `--variants` are ways
to run fit: `cpu` is channels_last and fused AdamW, `cuda` all that is of use there. Seconds are the
process's own on a CPU, so give it one thread. The library is not among the project's dependencies:

    python -m pip install diffusers
    OMP_NUM_THREADS=1 python benchmarks/diffusion_step.py --variants default cpu
"""

import argparse
import contextlib
import io
import logging
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusion_networks import Setting, their_network, with_their_weights
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import AdamW

from lit_gen.callbacks import EMA, DivergenceGuard, Preemption, ProgressBar, RunCheckpoints, Throughput
from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.diffusion_weighting import SimpleWeighting
from lit_gen.functional.quantize import from_uint8
from lit_gen.functional.samplers import DDIM
from lit_gen.models import Diffusion
from lit_gen.training.options import TrainingOptions

T, WARMUP, LR = 1000, 2, 1e-4


class Variant(NamedTuple):
    """One way to run fit."""

    options: dict[str, Any] = {}  # noqa: RUF012 (read only)
    precision: str = "32-true"
    fused: bool = False  # whether AdamW is


VARIANTS = {
    "default": Variant(),
    "channels_last": Variant({"channels_last": True}),
    "compile": Variant({"compile": True}),
    "tf32": Variant({"matmul_precision": "high"}),
    "bf16": Variant(precision="bf16-mixed"),
    "fused": Variant(fused=True),
    "cpu": Variant({"channels_last": True}, fused=True),
    "cpu_compiled": Variant({"channels_last": True, "compile": True}, fused=True),
    "cuda": Variant({"channels_last": True, "compile": True, "matmul_precision": "high"}, "bf16-mixed", True),
}


@torch.no_grad()
def check(setting: Setting) -> str:
    """Shows that both sides compute the same: a network's output, the loss, and samples."""
    torch.manual_seed(0)
    theirs = their_network(setting).eval()
    ours = with_their_weights(theirs, setting).eval()
    sizes = [sum(p.numel() for p in network.parameters()) for network in (ours, theirs)]
    assert sizes[0] == sizes[1], sizes
    x, epsilon = (torch.randn(4, *setting.shape, device=setting.device) for _ in range(2))
    step = torch.randint(0, T, (4,), device=setting.device)
    output = (ours(x, step) - theirs(x, step).sample).abs().max().item()
    # Their steps count from 0, ours from 1.
    process = Diffusion(setting.shape, network=lambda **_: nn.Identity()).process
    told = lambda x, c, label: ours(x, c - 1, label)  # noqa: E731
    our_loss = process.losses(told, x, epsilon, (step.double() + 1) / T, None, SimpleWeighting(), 0.0).mean()
    noisy = DDPMScheduler(num_train_timesteps=T).add_noise(x, epsilon, step)
    their_loss = mse_loss(theirs(noisy, step).sample, epsilon)
    sampler = DDIM(steps=5)
    *_, end = sampler.chain(
        epsilon, sampler.levels(process.schedule), process.denoiser(told, None, 0, 1.0), lambda: epsilon
    )
    samples = their_samples(theirs, epsilon, 5, clip=False)
    sample = ((end.x - samples).abs().max() / samples.abs().max()).item()
    assert output < 1e-3 and abs(our_loss - their_loss) < 1e-3 * their_loss and sample < 1e-3
    return (
        f"{sizes[0]:,} parameters each; with the same weights: outputs differ by {output:.1e} at most, "
        f"losses are {our_loss:.6f} and {their_loss:.6f}, samples of 5 DDIM steps differ by {sample:.1e}"
    )


def their_samples(network: UNet2DModel, x: Tensor, steps: int, clip: bool = True) -> Tensor:
    # From the last step on, as ours: "leading", their default, would leave it out.
    scheduler = DDIMScheduler(num_train_timesteps=T, timestep_spacing="trailing", clip_sample=clip)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t).sample, t, x).prev_sample
    return x


def seconds(device: torch.device) -> float:
    """Returns a time to take differences of."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def their_training(setting: Setting, steps: int) -> float:
    """Returns the seconds that `steps` steps take."""
    torch.manual_seed(0)
    data, network = setting.images().to(setting.device), their_network(setting)
    scheduler = DDPMScheduler(num_train_timesteps=T)
    optimizer = AdamW(network.parameters(), lr=LR)
    schedule = get_cosine_schedule_with_warmup(optimizer, 500, 100_000)
    start, losses = 0.0, []
    for step in range(WARMUP + steps):
        if step == WARMUP:
            start = seconds(setting.device)
        clean = from_uint8(data[torch.randint(0, len(data), (setting.batch,), device=data.device)])
        noise = torch.randn_like(clean)
        times = torch.randint(0, T, (setting.batch,), device=data.device)
        loss = mse_loss(network(scheduler.add_noise(clean, noise, times), times, return_dict=False)[0], noise)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.detach().item())
    return seconds(setting.device) - start


class Clock(Callback):
    """Times the steps after the warm-up, without the checkpoint that ends a run."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self.device, self.last, self.start, self.seconds = device, WARMUP + steps, 0.0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: Diffusion, batch: object, batch_idx: int) -> None:
        if trainer.global_step == WARMUP:
            self.start = seconds(self.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Diffusion, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_step == self.last:
            self.seconds = seconds(self.device) - self.start


class Loaded(Diffusion):
    """Takes uint8 batches without a datamodule, by the same conversion."""

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        return {**batch, "image": from_uint8(batch["image"])}


def our_training(setting: Setting, steps: int, variant: Variant) -> float:
    """Returns the seconds that `steps` steps take."""
    torch.manual_seed(0)
    clock, folder = Clock(setting.device, steps), tempfile.mkdtemp()
    model = Loaded(
        setting.shape,
        network=setting.network(),
        optimizer=partial(AdamW, lr=LR, fused=variant.fused),
        schedule=partial(get_cosine_schedule_with_warmup, num_warmup_steps=500, num_training_steps=100_000),
        options=TrainingOptions(clip_norm=1.0, **variant.options),
    )
    checkpoints = RunCheckpoints()
    checkpoints.folder = Path(folder)
    trainer = Trainer(
        max_steps=clock.last,
        accelerator="gpu" if setting.device.type == "cuda" else "cpu",
        devices=1,
        precision=variant.precision,
        logger=[TensorBoardLogger(folder), CSVLogger(folder, flush_logs_every_n_steps=1)],
        callbacks=[EMA(), DivergenceGuard(), Throughput(), ProgressBar(), Preemption(), checkpoints, clock],
        enable_model_summary=False,
    )
    loader = TensorLoader({"image": setting.images()}, setting.batch, shuffle=True, drop_last=True)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.fit(model, loader)
    torch.set_float32_matmul_precision("highest")
    return clock.seconds


@torch.no_grad()
def their_sampling(setting: Setting, num: int, steps: int) -> float:
    """Returns the seconds that `num` images take."""
    torch.manual_seed(0)
    network = their_network(setting).eval()
    x = torch.randn(num, *setting.shape, device=setting.device)
    network(x, 0)
    start = seconds(setting.device)
    their_samples(network, x, steps)
    return seconds(setting.device) - start


@torch.no_grad()
def our_sampling(setting: Setting, num: int, steps: int, channels_last: bool) -> float:
    """Returns the seconds that `num` images take."""
    torch.manual_seed(0)
    model = Diffusion(setting.shape, network=setting.network(), sampler=DDIM(steps, clip=True)).to(setting.device)
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.eval().denoiser()(torch.randn(num, *setting.shape, device=setting.device), 1.0)
    start = seconds(setting.device)
    model.sample(num)
    return seconds(setting.device) - start


def apart(run: Callable[[], Any], device: torch.device) -> Any:
    """Runs in a process of its own on a CPU, as what memory was kept before is otherwise there for the next run."""
    if device.type == "cuda":
        return run()
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(run).result()


def compare(what: str, sides: dict[str, Callable[[], float]], images: int, runs: int, device: torch.device) -> None:
    """Times the sides in turn, the first being theirs, and prints the median of the ratios of the others."""
    ratios: dict[str, list[float]] = {name: [] for name in list(sides)[1:]}
    for run in range(runs):
        order = list(sides) if run % 2 == 0 else list(sides)[::-1]
        taken = {name: apart(sides[name], device) for name in order}
        for name in sides:
            print(f"{what}, run {run + 1}  {name:<24} {images / taken[name]:9.1f} images/s", flush=True)
        for name in ratios:
            ratios[name].append(taken["diffusers"] / taken[name])
    for name, values in ratios.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{what}: ours ({name}) / diffusers: median {statistics.median(values):.3f} ({spread})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="timed training steps per run")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, taking turns")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, help="default, cpu or cuda by default")
    parser.add_argument("--shape", type=int, nargs=3, default=[1, 28, 28], help="channels, height, width")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--features", type=int, default=32, help="channels of the finest maps")
    parser.add_argument("--multipliers", type=int, nargs="+", default=[1, 2, 2])
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--attention", type=int, nargs="+", default=[7], help="sides of maps with attention")
    parser.add_argument("--num", type=int, default=64, help="images sampled at once; 0 for no sampling")
    parser.add_argument("--evaluations", type=int, default=10, help="steps of DDIM")
    options = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = (tuple(options.multipliers), options.blocks, tuple(options.attention))
    setting = Setting(tuple(options.shape), options.batch, options.features, *sizes, device)
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {setting}")
    print(apart(partial(check, setting), device))
    sides: dict[str, Callable[[], float]] = {"diffusers": partial(their_training, setting, options.steps)}
    sides |= {
        name: partial(our_training, setting, options.steps, VARIANTS[name])
        for name in options.variants or ["default", device.type]
    }
    compare("training", sides, options.steps * setting.batch, options.runs, device)
    if options.num:
        sampled = setting, options.num, options.evaluations
        sides = {"diffusers": partial(their_sampling, *sampled)}
        sides |= {"default": partial(our_sampling, *sampled, channels_last=False)}
        sides |= {"channels_last": partial(our_sampling, *sampled, channels_last=True)}
        compare("sampling", sides, options.num, options.runs, device)


if __name__ == "__main__":
    main()
