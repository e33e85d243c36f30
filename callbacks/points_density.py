"""What a model with a likelihood says of points: its density, how far that is from the truth, how latents get there."""

__all__ = ["Density", "density_of", "draw_density", "draw_stages", "forward_kl", "stages_of"]

from typing import Any, NamedTuple, cast

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from lit_gen.contracts import SupportsLatents, SupportsLogProb, SupportsTrajectory
from lit_gen.functional.mode_coverage import cell_centres
from lit_gen.functional.worlds import World

_MOST_AT_ONCE = 1 << 14
_STAGES = 3


class Density(NamedTuple):
    """A model's density on a regular grid.

    Attributes:
        centres: Where, shape [cells^D, D].
        values: q, shape [cells^D].
        truth: The world's p, or None where it is not known.
        cells: The cells per coordinate.
    """

    centres: Tensor
    values: Tensor
    truth: Tensor | None
    cells: int


def density_of(pl_module: LightningModule, world: World, cells: int, seed: int) -> Density | None:
    """Returns a model's density on a grid over a world, None if it has none; call it within `inference`."""
    if not isinstance(pl_module, SupportsLogProb):
        return None
    centres = cell_centres(world.bounds, cells)
    log_p = world.log_prob(centres)
    return Density(centres, _log_prob(pl_module, centres, seed).exp(), None if log_p is None else log_p.exp(), cells)


def forward_kl(pl_module: LightningModule, world: World, num: int, seed: int) -> float | None:
    """Returns KL(truth ‖ model) = E_p[log p − log q] in nats, over points drawn from the world.

    It is None if the model has no likelihood, or the world's density is not known; call it within `inference`.
    """
    if not isinstance(pl_module, SupportsLogProb):
        return None
    points = world.sample(num, torch.Generator().manual_seed(seed))
    log_p = world.log_prob(points.double())
    return None if log_p is None else float((log_p - _log_prob(pl_module, points, seed)).mean())


def _log_prob(pl_module: LightningModule, points: Tensor, seed: int) -> Tensor:
    """Returns log q of points [N, D], float64 on the CPU, shape [N]."""
    model, generator = cast(SupportsLogProb, pl_module), torch.Generator().manual_seed(seed)
    images = points.float()[:, :, None, None].split(_MOST_AT_ONCE)
    return torch.cat([model.log_prob(part.to(pl_module.device), None, generator).double().cpu() for part in images])


def stages_of(pl_module: LightningModule, num: int, seed: int) -> list[tuple[str, Tensor]]:
    """Returns latents and what they become on the way to points, [num, D] each with a name; empty if none is seen.

    Call it within `inference`.
    """
    if not (isinstance(pl_module, SupportsTrajectory) and isinstance(pl_module, SupportsLatents)):
        return []
    path = pl_module.trajectory(pl_module.latents(num, torch.Generator().manual_seed(seed)))
    last = len(path) - 1
    chosen = sorted({round(i * last / _STAGES) for i in range(_STAGES)})
    return [("latents" if i == 0 else f"{i} of {last} steps on", path[i].float().cpu()) for i in chosen]


def draw_density(axis: Any, density: Density, bounds: tuple[tuple[float, float], ...]) -> None:
    """Draws q: as a map in the plane, as curves on a line, where p is drawn too."""
    if len(bounds) == 1:
        place = density.centres[:, 0].numpy()
        axis.plot(place, density.values.numpy(), color="tab:blue", label="q(x), the model's density")
        if density.truth is not None:
            axis.plot(place, density.truth.numpy(), color="0.3", linestyle="--", label="p(x), the truth")
        return
    image = density.values.view(density.cells, density.cells).T.numpy()  # the first coordinate runs to the right
    # One scale with the truth, if there is one: a peak that is too high looks so.
    highest = float((density.values if density.truth is None else density.truth).nan_to_num(0.0).max())
    extent = (*bounds[0], *bounds[1])
    drawn = axis.imshow(image, origin="lower", extent=extent, cmap="viridis", vmin=0.0, vmax=highest or None)
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7).ax.tick_params(labelsize=7)
    axis.set_title("q(x), the model's density")


def draw_stages(axes: Any, stages: list[tuple[str, Tensor]]) -> None:
    """Draws latents and what they become, coloured by the angle that they start at."""
    start = stages[0][1]
    angle = torch.atan2(start[:, 1], start[:, 0]).numpy()
    for axis, (name, points) in zip(axes, stages, strict=True):
        axis.scatter(*points.T.numpy(), s=3, c=angle, cmap="twilight", linewidths=0)
        axis.set_title(name)
        axis.set_aspect("equal")
        axis.tick_params(labelsize=7)
        axis.grid(False)
