"""Small diffusion models of every kind; under torchrun, trains some of them on two processes."""

__all__ = ["IMAGE", "KINDS", "POINT", "SHARED", "TEACHER", "batches", "fit", "fit_shares", "made"]

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader

from lit_gen.datamodules.tensor_loader import TensorLoader
from lit_gen.functional.adaptive_ode import AdaptiveODE
from lit_gen.functional.diffusion_likelihood import ProbabilityFlow, VariationalBound
from lit_gen.functional.diffusion_weighting import EDMWeighting, MinSNRWeighting
from lit_gen.functional.noise_schedules import CosineSchedule, EDMSchedule, RectifiedFlowSchedule
from lit_gen.functional.ode_samplers import DPMSolver, Euler, Heun
from lit_gen.functional.parameterisation import EDMPreconditioning, VelocityPrediction, VPrediction
from lit_gen.functional.samplers import DDIM, Ancestral
from lit_gen.functional.tabulated_schedules import Discretised, LinearBetas
from lit_gen.functional.time_distribution import LogNormalNoise, UniformTime
from lit_gen.models import Diffusion
from lit_gen.nn.dense_denoiser import DenseDenoiser
from lit_gen.nn.diffusion_unet import DiffusionUNet
from lit_gen.nn.dit import DiT
from lit_gen.training.reflow import Reflow
from lit_gen.training.strategy import AdversarialDDPStrategy

CLASSES, BATCH = 3, 8
IMAGE, POINT = (1, 5, 7), (2, 1, 1)
UNET = partial(DiffusionUNet, features=8, multipliers=(1, 2), blocks=1, attention=(4,))
TRANSFORMER = partial(DiT, patch_size=2, width=12, heads=2, depth=2)
DENSE = partial(DenseDenoiser, width=16, depth=2)
FLOW = {"noise_schedule": RectifiedFlowSchedule(), "parameterisation": VelocityPrediction()}
EXACT = {"likelihood": ProbabilityFlow("exact", 1e-3, 1e-3)}
# Name → shape, and the model's arguments.
KINDS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "ddpm": (
        IMAGE,
        {"noise_schedule": LinearBetas(6, 0.1, 0.8), "sampler": Ancestral(6), "likelihood": VariationalBound(6)},
    ),
    "improved ddpm": (
        IMAGE,
        {
            "noise_schedule": Discretised(CosineSchedule(), 6),
            "sampler": Ancestral(4, variance="learned", clip=True),
            "likelihood": VariationalBound(6, variance="learned"),
            "learned_variance": True,
            "conditional": True,
        },
    ),
    "edm": (
        IMAGE,
        {
            "noise_schedule": EDMSchedule(),
            "parameterisation": EDMPreconditioning(),
            "weighting": EDMWeighting(),
            "time_distribution": LogNormalNoise(),
            "sampler": Heun(4, churn=1.0),
            "likelihood": ProbabilityFlow(rtol=1e-2, atol=1e-2),
            "learned_weighting": True,
        },
    ),
    "v, guided": (
        IMAGE,
        {
            "noise_schedule": CosineSchedule(),
            "parameterisation": VPrediction(),
            "weighting": MinSNRWeighting(),
            "time_distribution": UniformTime(stratified=True),
            "sampler": DPMSolver(4),
            "likelihood": ProbabilityFlow(rtol=1e-2, atol=1e-2),
            "conditional": True,
            "label_dropout": 0.3,
            "guidance": 2.0,
        },
    ),
    "transformer": (
        IMAGE,
        {
            **FLOW,
            "network": TRANSFORMER,
            "sampler": Euler(4),
            "likelihood": ProbabilityFlow(rtol=1e-2, atol=1e-2),
            "conditional": True,
        },
    ),
    "points, flow matching": (POINT, {**FLOW, **EXACT, "sampler": Euler(5), "optimal_transport": True}),
    "points, adaptive": (POINT, {**FLOW, **EXACT, "sampler": AdaptiveODE(1e-3, 1e-3, steps=4)}),
    "points, ddim": (POINT, {**EXACT, "noise_schedule": LinearBetas(20, 0.01, 0.4), "sampler": DDIM(5)}),
}
SHARED, TEACHER = ("ddpm", "edm"), "points, flow matching"


def made(name: str, **arguments: Any) -> Diffusion:
    """Returns a model, always of the same weights."""
    shape, own = KINDS[name]
    torch.manual_seed(0)
    return Diffusion(shape, CLASSES, **({"network": DENSE if shape == POINT else UNET} | own | arguments))


def batches(shape: tuple[int, int, int], rank: int = 0) -> TensorLoader:
    """Returns a loader of images of 8 bits or of points; of each rank other ones."""
    generator = torch.Generator().manual_seed(rank)
    if shape == POINT:
        image = 1 + 0.5 * torch.randn(6 * BATCH, *shape, generator=generator)
    else:
        image = torch.randint(0, 256, (6 * BATCH, *shape), generator=generator) / 127.5 - 1
    return TensorLoader({"image": image, "label": torch.arange(len(image)) % CLASSES}, BATCH)


def fit(name: str, folder: Path, steps: int, rank: int = 0, **arguments: Any) -> tuple[Diffusion, pl.Trainer]:
    """Trains a model for some batches, in the order that they have."""
    ckpt_path, model = arguments.pop("ckpt_path", None), arguments.pop("model", None) or made(name)
    trainer = quiet_trainer(folder, steps, **arguments)
    trainer.fit(model, batches(KINDS[name][0], rank), ckpt_path=ckpt_path, weights_only=True)
    return model, trainer


class _TimesOfAll:
    """Draws the times of a whole global batch, and takes those of a model's rows."""

    def __init__(self, model: "SplitNoise", times: Any) -> None:
        self.model, self.times = model, times

    def sample(self, num: int, schedule: Any, generator: Any, device: torch.device) -> Tensor:
        assert num == len(self.model.rows)
        seeded = torch.Generator().manual_seed(2 * self.model.step)
        return self.times.sample(BATCH, schedule, seeded, device)[self.model.rows]


class SplitNoise(Diffusion):
    """Draws times and noise of the whole global batch and takes the rows of the images at hand, however split."""

    def __init__(self, shape: tuple[int, int, int], **arguments: Any) -> None:
        super().__init__(shape, None, optimizer=partial(SGD, lr=0.1), **({"network": UNET} | arguments))
        self.time_distribution = _TimesOfAll(self, self.time_distribution)  # type: ignore[assignment]
        self.rows = torch.empty(0, dtype=torch.long)

    def objective(self, batch: Any) -> Tensor:
        self.rows = batch["index"]
        return super().objective(batch)

    def ends(self, x: Tensor, y: Tensor | None, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        seeded = torch.Generator().manual_seed(2 * self.step + 1)
        return x, torch.randn(BATCH, *x.shape[1:], generator=seeded)[self.rows], y


def fit_shares(name: str, folder: Path, steps: int, rank: int, world_size: int, **arguments: Any) -> Diffusion:
    """Trains on one rank's rows of the same global batches, with the same noise however many ranks there are."""
    torch.manual_seed(0)
    model, trainer = SplitNoise(IMAGE, **KINDS[name][1]), quiet_trainer(folder, steps, **arguments)
    rows = torch.arange(BATCH).view(world_size, -1)[rank]
    shares = [{"image": batch["image"][rows], "index": rows} for batch in batches(IMAGE)]
    trainer.fit(model, DataLoader(shares, batch_size=None))  # type: ignore[arg-type]
    return model


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    ends: dict[str, Any] = {}

    def two() -> dict[str, Any]:
        strategy = AdversarialDDPStrategy(process_group_backend="gloo")
        return {"devices": 2, "strategy": strategy, "use_distributed_sampler": False}

    for name in SHARED:
        model, _ = fit(name, folder, 3, rank, **two())
        split = fit_shares(name, folder, 3, rank, 2, **two())
        ends[name] = {"unlike": model.state_dict(), "split": split.state_dict()}
    _, trainer = fit(TEACHER, folder, 3, rank, **two())
    trainer.save_checkpoint(folder / "teacher.ckpt")
    student = made(TEACHER, reflow=Reflow(str(folder / "teacher.ckpt"), num_pairs=41), optimal_transport=False)
    fit(TEACHER, folder, 1, rank, model=student, **two())
    ends["pairs"] = vars(student.reflow._pairs)
    torch.save(ends, folder / f"rank{rank}.pt")
