"""Plain PyTorch loops beside our configurations: the same networks, data and budget, scored in the same way.

    python benchmarks/reference_loops.py                     # all of them
    python benchmarks/reference_loops.py --methods dcgan     # one

Each loop is what a paper's algorithm says, written down in one place: no Lightning, no values, no phases.
`gan_results.py` comes first: the networks are those of its runs, newly initialised. The scores join its table as
`<method> (plain loop)`.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from gan_results import BATCH, METRICS, SAMPLES
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.optim import Adam

from lit_gen.datamodules import FashionMNIST
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.png import write_png
from lit_gen.functional.quantize import to_uint8
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import Classifier
from lit_gen.training.loading import build_model, read_checkpoint
from lit_gen.training.seeding import generators

HALF_LIFE, RAMP_UP = 10_000, 0.05  # of the averaged weights, in images
Loss = Callable[[nn.Module, Tensor, Tensor, Tensor | None], Tensor]


def gradient(d: nn.Module, x: Tensor, y: Tensor | None) -> Tensor:
    x = x.detach().requires_grad_()
    return torch.autograd.grad(d(x, y).sum(), x, create_graph=True)[0].flatten(1)


def dcgan_d(real_label: float) -> Loss:
    def loss(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
        real = d(x, y)
        smoothed = real_label * softplus(-real).mean() + (1 - real_label) * softplus(real).mean()
        return smoothed + softplus(d(fake, y)).mean()

    return loss


def dcgan_g(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    return softplus(-d(fake, y)).mean()


def hinge_d(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    return relu(1 - d(x, y)).mean() + relu(1 + d(fake, y)).mean()


def critic_g(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    return -d(fake, y).mean()


def wgan_gp_d(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    alpha = torch.rand(len(x), 1, 1, 1)
    norm = gradient(d, alpha * x + (1 - alpha) * fake, y).norm(dim=1)
    return d(fake, y).mean() - d(x, y).mean() + 10 * ((norm - 1) ** 2).mean()


def r3gan_d(gamma: float) -> Loss:
    def loss(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
        penalty = sum((gradient(d, images, y) ** 2).sum(1).mean() for images in (x, fake))
        return softplus(d(fake, y) - d(x, y)).mean() + gamma / 2 * penalty

    return loss


def r3gan_g(d: nn.Module, x: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
    return softplus(d(x, y).detach() - d(fake, y)).mean()


class Recipe(NamedTuple):
    """What differs between the loops."""

    d_loss: Loss
    g_loss: Loss
    optimizer: dict[str, Any]
    n_critic: int = 1


RECIPES = {
    "dcgan": Recipe(dcgan_d(0.9), dcgan_g, {"lr": 2e-4, "betas": (0.5, 0.999)}),
    "cgan": Recipe(dcgan_d(1.0), dcgan_g, {"lr": 2e-4, "betas": (0.5, 0.999)}),
    "sngan": Recipe(hinge_d, critic_g, {"lr": 2e-4, "betas": (0.0, 0.9)}, 5),
    "wgan_gp": Recipe(wgan_gp_d, critic_g, {"lr": 2e-4, "betas": (0.0, 0.9)}, 5),
    "r3gan": Recipe(r3gan_d(0.05), r3gan_g, {"lr": 1e-3, "betas": (0.0, 0.99)}),
}


def train(name: str, steps: int, data: FashionMNIST, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Trains one method by its loop and returns its scores."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    # Newly initialised, and only for its networks.
    checkpoint = folder.parent.parent / name / "version_0/checkpoints/last.ckpt"
    model: Any = build_model(read_checkpoint(checkpoint))
    g, d, average = model.generator, model.discriminator, deepcopy(model.generator)
    adam_g, adam_d = Adam(g.parameters(), **recipe.optimizer), Adam(d.parameters(), **recipe.optimizer)
    source = next(iter(data.batches("train", data.num_images("train"))))
    images, labels = source["image"], source["label"]
    start = time.perf_counter()
    for step in range(steps):
        index = torch.randint(len(images), (BATCH,))
        x, y = images[index].float() / 127.5 - 1, labels[index] if model.num_classes else None
        adam_d.zero_grad()
        with torch.no_grad():
            fake = g(torch.randn(BATCH, model.latent_dim), y)
        recipe.d_loss(d, x, fake, y).backward()
        adam_d.step()
        if step % recipe.n_critic == 0:
            adam_g.zero_grad()
            recipe.g_loss(d, x, g(torch.randn(BATCH, model.latent_dim), y), y).backward()
            adam_g.step()
        with torch.no_grad():
            share = 1 - 0.5 ** (BATCH / min(HALF_LIFE, RAMP_UP * BATCH * (step + 1)))
            for kept, new in zip(average.parameters(), g.parameters(), strict=True):
                kept.lerp_(new, share)
            for kept, new in zip(average.buffers(), g.buffers(), strict=True):
                kept.copy_(new)
    minutes = (time.perf_counter() - start) / 60
    model.generator = average
    return {**score(model.eval(), data, folder), "minutes": minutes, "steps": steps}


def score(model: Any, data: FashionMNIST, folder: Path) -> dict[str, Any]:
    evaluator = Evaluator(Classifier(), METRICS, num_samples=SAMPLES)
    evaluator.prepare(data)

    def samples() -> Iterator[tuple[Tensor, Tensor]]:
        for index in evaluator.indices():
            yield index, to_uint8(model.sample(len(index), None, generators(0, index.tolist())))

    write_png(image_grid(torch.cat([images for _, images in [next(samples())]])[:64]), folder / "samples.png")
    return evaluator.evaluate(samples()).to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(RECIPES), choices=list(RECIPES), help="all by default")
    parser.add_argument("--steps", type=int, default=1500, help="training batches of 64 images")
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights, noise and order; 0 is the table's, others are printed"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/gan_results"), help="where scores lie")
    arguments = parser.parse_args()
    data = FashionMNIST(batch_size=BATCH)
    data.prepare_data()
    data.setup("fit")
    for name in arguments.methods:
        seed = f", seed {arguments.seed}" if arguments.seed else ""
        folder = arguments.runs / f"{name} (plain loop{seed})" / "version_0"
        folder.mkdir(parents=True, exist_ok=True)
        result = train(name, arguments.steps, data, folder, arguments.seed)
        if not arguments.seed:
            (folder / "scores.json").write_text(json.dumps(result, indent=2) + "\n")
        print(name, result["metrics"], f"{result['minutes']:.1f} min", flush=True)


if __name__ == "__main__":
    main()
