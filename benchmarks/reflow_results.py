"""Flows in few steps: what reflow makes of a flow, at 1, 2, 4 and many steps of Euler's method.

    lit-gen fit --config diffusion/flow_matching_ring
    lit-gen fit --config diffusion/reflow_ring --model.reflow.teacher TEACHER.ckpt
    python benchmarks/reflow_results.py --checkpoints teacher=TEACHER.ckpt student=STUDENT.ckpt --output reflow.png

Each line of the table is of one checkpoint: how far its paths are from straight (`excess_energy` of 100 steps), and for
each number of steps what its samples are worth. Of points that is the modes found, the share within 3σ of one and
KL(model ‖ truth) on 64 × 64 cells; of images FID[classifier] against the test split. All start from the same noise.
The picture shows the samples, and of points some of the paths.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import new_figure
from lit_gen.contracts import PointData
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.mode_coverage import (
    cell_masses,
    cell_shares,
    high_quality_share,
    kl_divergence,
    mode_counts,
    modes_found,
)
from lit_gen.functional.ode_samplers import Euler
from lit_gen.functional.png import write_png
from lit_gen.functional.quantize import to_uint8
from lit_gen.functional.straightness import excess_energy
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import Classifier
from lit_gen.training.loading import build_data, load_model, read_checkpoint
from lit_gen.training.seeding import generators

FINE, CELLS, AT_ONCE, DRAWN, PATHS = 100, 64, 500, 2000, 60


@torch.no_grad()
def ends(model: Any, steps: int, num: int) -> Tensor:
    """Draws samples in as many steps, [num, C, H, W]; sample i starts from the same noise whatever the model."""
    model.sampler = Euler(steps)
    parts = torch.arange(num, device="cpu").split(AT_ONCE)
    return torch.cat([model.sample(len(part), generator=generators(0, part.tolist())).cpu() for part in parts])


@torch.no_grad()
def paths(model: Any, num: int) -> tuple[list[Tensor], list[float]]:
    """Returns where samples are after each of many steps, and at which times."""
    model.sampler = Euler(FINE)
    z, label = model.latents(num, generators(0, range(num))), None
    if model.num_classes is not None:
        label = torch.arange(num, device=model.device) % model.num_classes
    return model.trajectory(z, label), [level.t for level in model.sampler.levels(model.noise_schedule)]


def worth_of_points(data: Any, points: Tensor) -> str:
    world, points = data.world, points.flatten(1)
    truth = cell_masses(world.log_prob, world.bounds, CELLS)
    said = f"KL {kl_divergence(cell_shares(points, world.bounds, CELLS), truth):.3f}"
    if world.modes is None:
        return said
    counts = mode_counts(points, world.modes, world.std)
    return f"{modes_found(counts, len(points))} modes, {high_quality_share(counts, len(points)):.1%}, {said}"


def worth_of_images(evaluator: Evaluator, model: Any, steps: int) -> str:
    model.sampler = Euler(steps)

    def samples() -> Iterator[tuple[Tensor, Tensor]]:
        for index in evaluator.indices():
            yield index, to_uint8(model.sample(len(index), generator=generators(0, index.tolist())))

    return f"FID[classifier] {evaluator.evaluate(samples()).metrics['fid']:.2f}"


def draw_points(models: dict[str, Any], data: Any, steps: list[int], output: Path) -> None:
    """Writes samples by steps, a row of panels per model, and their paths in the last."""
    rows = []
    for name, model in models.items():
        figure, axes = new_figure(3.2 * (len(steps) + 1), 3.4, len(steps) + 1)
        for axis, num in zip(axes, steps, strict=False):
            axis.scatter(*ends(model, num, DRAWN).flatten(1).T.numpy(), s=3, alpha=0.5, linewidths=0)
            axis.set_title(f"{name}: {num} step{'s' if num > 1 else ''}")
        lines = torch.stack([at.flatten(1).cpu() for at in paths(model, PATHS)[0]])
        for line in lines.unbind(1):
            axes[-1].plot(*line.T.numpy(), linewidth=0.7, color="tab:orange")
        axes[-1].set_title(f"{name}: paths")
        for axis in axes:
            axis.set(xlim=data.world.bounds[0], ylim=data.world.bounds[1], aspect="equal")
        canvas: Any = figure.canvas
        canvas.draw()
        width, height = canvas.get_width_height()
        pixels = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
        rows.append(pixels.view(height, width, 4)[:, :, :3].permute(2, 0, 1))
    write_png(torch.cat(rows, dim=1).contiguous(), output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="+", required=True, help="name=file")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 20])
    parser.add_argument("--num", type=int, default=10_000, help="the samples that numbers are of")
    parser.add_argument("--output", type=Path, help="the picture, a .png")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    read = {name: read_checkpoint(path) for name, _, path in (given.partition("=") for given in options.checkpoints)}
    models: dict[str, Any] = {name: load_model(checkpoint).to(device) for name, checkpoint in read.items()}
    data: Any = build_data(next(iter(read.values())))
    points = isinstance(data, PointData)
    evaluator = Evaluator(Classifier(), ("fid",), num_samples=options.num)
    if not points:
        evaluator.prepare(data)
    steps = [f"{num} step{'s' if num > 1 else ''}" for num in options.steps]
    for row in (["checkpoint", "from straight", *steps], ["---"] * (2 + len(steps))):
        print(f"| {' | '.join(row)} |")
    for name, model in models.items():
        cells = [f"{excess_energy(*paths(model, min(AT_ONCE, options.num))):.4f}"]
        for num in options.steps:
            worth = worth_of_points(data, ends(model, num, options.num)) if points else ""
            cells.append(worth or worth_of_images(evaluator, model, num))
        print(f"| {' | '.join([name, *cells])} |", flush=True)
    if options.output and points:
        draw_points(models, data, options.steps, options.output)
    elif options.output:
        shown = [to_uint8(ends(model, num, 16)) for model in models.values() for num in options.steps]
        write_png(image_grid(torch.cat(shown), columns=16), options.output)


if __name__ == "__main__":
    main()
