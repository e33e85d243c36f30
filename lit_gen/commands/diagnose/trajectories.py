"""``lit-gen diagnose trajectories``: the ways of points from latents to data.

A flow's layers move points one after the other, a diffusion model's sampler step by step. The straighter the ways, the
fewer steps they take (Liu, Gong & Liu, 2023, section 2.2).
"""

__all__ = ["run"]

from collections.abc import Sequence
from pathlib import Path

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.noisy import check_points, load_noisy
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import SupportsLatents, SupportsStages, SupportsTrajectory
from lit_gen.errors import UserError
from lit_gen.functional.worlds import World
from lit_gen.training.seeding import derive_seed, generators

_REAL = 2000


def run(arguments: Sequence[str]) -> int:
    """Writes ``trajectories.png`` and ``trajectories.csv``, a line per point and step.

    Raises:
        UserError: If an argument is wrong, the model draws pictures, or its points come from latents at once.
    """
    parser = diagnosis_parser("See the ways of points from latents to data.")
    parser.add_argument("--num_points", type=int, default=200, help="how many ways")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(1, options, "num_points")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    what = "turns latents into points step by step, as flows and diffusion do"
    model = load_noisy(checkpoint, options, SupportsTrajectory, what)
    world = check_points(model, data, "of pictures see 'lit-gen diagnose denoising'")
    check_shape(model, data)
    path = paths(model, options.num_points, options.seed)
    if not path.isfinite().all():
        raise UserError("the model's points hold NaN or infinity: its training has diverged")
    names = ["x", "y"][: path.shape[2]]
    rows = [
        {"point": i, "step": step, **dict(zip(names, place, strict=True))}
        for i, way in enumerate(path.transpose(0, 1).tolist())
        for step, place in enumerate(way)
    ]
    write_table(rows, folder / "trajectories.csv")
    real = world.sample(_REAL, torch.Generator().manual_seed(options.seed))
    (_draw_plane if path.shape[2] == 2 else _draw_line)(path, real, world, folder / "trajectories.png")
    detour = detours(path).median()
    print(f"{len(path) - 1} steps; ways are {detour:.3f} times as long as straight ones (median)")
    print(f"figure and table: {folder}/trajectories.*")
    return 0


@torch.no_grad()
def paths(model: LightningModule, num: int, seed: int) -> Tensor:
    """Returns where points 0 to num − 1 of ``lit-gen sample`` are at each step, [T + 1, num, D], on the CPU."""
    torch.manual_seed(derive_seed(seed, "batch", 0))  # of networks with noise of their own
    each = generators(seed, range(num))
    if isinstance(model, SupportsStages):  # of which each point may have noise of its own on its way
        stages = [stage.flatten(1) for stage in model.sample_stages(num, None, each)]
    else:
        assert isinstance(model, SupportsTrajectory) and isinstance(model, SupportsLatents)
        stages = list(model.trajectory(model.latents(num, each)))
    return torch.stack(stages).float().cpu()


def detours(path: Tensor) -> Tensor:
    """Returns how many times as long as the straight line from its start to its end each way is, [N]."""
    straight = (path[-1] - path[0]).norm(dim=1)
    return path.diff(dim=0).norm(dim=2).sum(0) / straight.clamp(min=1e-12)


def _draw_plane(path: Tensor, real: Tensor, world: World, file: Path) -> None:
    """Draws the ways, whole and where the data lie, coloured by where they end."""
    import matplotlib

    figure, panels = new_figure(10.4, 5.0, 2)
    centre = real.mean(dim=0)
    angle = torch.atan2(*(path[-1] - centre).T.flip(0)) / (2 * torch.pi) + 0.5
    colours = matplotlib.colormaps["hsv"](angle.numpy() * 0.95)
    for axis in panels:
        axis.scatter(*real.T.numpy(), s=3, color="0.75", linewidths=0, zorder=1)
        for i, colour in enumerate(colours):
            axis.plot(*path[:, i].T.numpy(), color=colour, linewidth=0.7, alpha=0.5, zorder=2)
        axis.scatter(*path[0].T.numpy(), s=5, color="0.3", linewidths=0, zorder=3)
        axis.scatter(*path[-1].T.numpy(), s=8, c=colours, edgecolors="black", linewidths=0.3, zorder=4)
        axis.set_aspect("equal")
        axis.grid(False)
    panels[0].set_title(f"from latents (dark dots) to points, in {len(path) - 1} steps", fontsize=10)
    panels[1].set(xlim=world.bounds[0], ylim=world.bounds[1])
    panels[1].set_title("where the data lie (light dots)", fontsize=10)
    save_figure(figure, file)


def _draw_line(path: Tensor, real: Tensor, world: World, file: Path) -> None:
    """Draws where points of a line are over the steps, and the data at the end."""
    figure, (ways, data) = new_figure(7.6, 4.2, 2)
    ways.plot(path[:, :, 0].numpy(), color="tab:blue", linewidth=0.6, alpha=0.4)
    ways.set(title=f"from latents to points, in {len(path) - 1} steps", xlabel="step", ylabel="x")
    ways.margins(x=0)
    for points, colour, name in ((real, "0.6", "data"), (path[-1], "tab:blue", "points")):
        bins = {"bins": 60, "range": world.bounds[0], "density": True, "orientation": "horizontal"}
        data.hist(points[:, 0].numpy(), color=colour, alpha=0.5, label=name, **bins)
    data.set(title="density", ylim=ways.get_ylim())
    data.legend()
    save_figure(figure, file)
