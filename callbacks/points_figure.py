"""The picture of points, of the discriminator's field and how far that is from the optimum, and of a density."""

__all__ = ["Field", "figure_of_points"]

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_gen.callbacks.figures import new_figure
from lit_gen.callbacks.points_density import Density, draw_density, draw_stages
from lit_gen.functional.kernel_density import log_kernel_density
from lit_gen.functional.worlds import World

_REAL, _GENERATED = "0.45", "tab:orange"
_NEGLIGIBLE = 1e-3  # of the highest density: where there are no points the optimum means nothing


class Field(NamedTuple):
    """A discriminator's verdict on a regular grid.

    Attributes:
        centres: Where, shape [cells^D, D].
        verdict: D(x) = sigmoid(logit), shape [cells^D].
        cells: The cells per coordinate.
    """

    centres: Tensor
    verdict: Tensor
    cells: int


def figure_of_points(
    world: World,
    real: Tensor,
    generated: Tensor,
    field: Field | None,
    title: str,
    density: Density | None = None,
    stages: Sequence[tuple[str, Tensor]] = (),
) -> Tensor:
    """Draws real and generated points [N, D], D being 1 or 2, the field, and D − D*; returns uint8 [3, H, W].

    A density has a panel of its own in the plane, and so has each stage, points with a name, that is given there.

    D* = p/(p + q) is the optimum of the cross-entropy losses, with p the world's density and q the kernel density
    estimate of the generated points; it is drawn where p is known.
    """
    flat = len(world.bounds) == 1
    optimum, said = (None, "") if field is None else _optimum(world, generated, field)
    own = 1 + (field is not None) + (optimum is not None and not flat)
    panels = own + (density is not None and not flat) + len(stages)
    figure, axes = new_figure(4.2 * panels, 4.0, panels)
    axes[0].set_title(title)
    if density is not None:
        draw_density(axes[0 if flat else own], density, world.bounds)
    if stages:
        draw_stages(axes[-len(stages) :], list(stages))
    if flat:
        _draw_line(axes, world, real, generated, field, optimum, said)
    else:
        _draw_plane(axes[: panels - len(stages)], world, real, generated, field, optimum, said)
    canvas: Any = figure.canvas
    canvas.draw()
    pixels = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    width, height = canvas.get_width_height()
    return pixels.view(height, width, 4)[:, :, :3].permute(2, 0, 1).contiguous()


def _optimum(world: World, generated: Tensor, field: Field) -> tuple[Tensor | None, str]:
    """Returns D*, NaN where there are hardly any points, and how q was estimated; None if p is not known."""
    log_p = world.log_prob(field.centres)
    finite = generated[generated.isfinite().all(dim=1)]
    if log_p is None or len(finite) < 2:
        return None, ""
    low, high = world.bounds[0]
    cell = (high - low) / field.cells
    modes = 1 if world.modes is None else len(world.modes)
    # Scott's rule for each mode, but no narrower than what the grid shows.
    width = getattr(world, "std", 4 * cell) * (len(finite) / modes) ** (-1 / (len(world.bounds) + 4))
    bandwidth = max(cell, width)
    log_q = log_kernel_density(field.centres, finite, bandwidth)
    density = log_p.exp() + log_q.exp()
    optimum = (log_p - log_q).nan_to_num(0.0).sigmoid()
    optimum = torch.where(density > _NEGLIGIBLE * density.max(), optimum, torch.nan)
    return optimum, f"q: kernel density estimate, h = {bandwidth:.2g}"


def _draw_plane(
    axes: Any, world: World, real: Tensor, generated: Tensor, field: Field | None, optimum: Tensor | None, said: str
) -> None:
    for points, colour, name in ((real, _REAL, "real"), (generated, _GENERATED, "generated")):
        axes[0].scatter(*points.T.numpy(), s=3, color=colour, alpha=0.5, linewidths=0, label=name)
    axes[0].legend(loc="upper right", markerscale=4, fontsize=8)
    extent = (*world.bounds[0], *world.bounds[1])
    if field is not None:
        _draw_map(axes[1], field.verdict, field.cells, extent, "viridis", (0.0, 1.0))
        axes[1].set_title("D(x) = sigmoid(logit)")
    if field is not None and optimum is not None:
        _draw_map(axes[2], field.verdict - optimum, field.cells, extent, "RdBu", (-1.0, 1.0))
        axes[2].set_title(f"D − D*,  D* = p/(p + q)\n{said}", fontsize=9)
    for axis in axes:
        axis.set(xlim=world.bounds[0], ylim=world.bounds[1], aspect="equal")
        axis.tick_params(labelsize=7)
        axis.grid(False)


def _draw_map(axis: Any, values: Tensor, cells: int, extent: tuple[float, ...], colours: str, limits: Any) -> None:
    image = values.view(cells, cells).T.numpy()  # the first coordinate runs to the right
    drawn = axis.imshow(image, origin="lower", extent=extent, cmap=colours, vmin=limits[0], vmax=limits[1])
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7).ax.tick_params(labelsize=7)


def _draw_line(
    axes: Any, world: World, real: Tensor, generated: Tensor, field: Field | None, optimum: Tensor | None, said: str
) -> None:
    (low, high), bins = world.bounds[0], 80
    for points, colour, name in ((real, _REAL, "real"), (generated, _GENERATED, "generated")):
        # Densities of all points, those outside and those that are NaN included: hist's own are of what it shows.
        shown = points[points[:, 0].isfinite(), 0].numpy()
        weights = [bins / (len(points) * (high - low))] * len(shown)
        axes[0].hist(shown, bins=bins, range=(low, high), weights=weights, alpha=0.5, color=colour, label=name)
    if field is not None:
        place = field.centres[:, 0].numpy()
        axes[1].plot(place, field.verdict.numpy(), color="tab:blue", label="D(x) = sigmoid(logit)")
        if optimum is not None:
            axes[1].plot(place, optimum.numpy(), color="tab:red", label="D* = p/(p + q)")
            axes[1].set_title(said, fontsize=9)
        axes[1].set_ylim(-0.05, 1.05)
    for axis in axes:
        axis.set_xlim(low, high)
        axis.legend(loc="best", fontsize=8)
