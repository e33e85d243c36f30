"""``lit-gen diagnose score_field``: where noisy points should go to become likelier.

The score ∇ log p_t is all that sampling needs of the data. Of mixtures of Gaussians it is known at every level of
noise, so that one sees where a model has learnt it: among noisy points, and not beyond, where training never was (Song
& Ermon, 2019, section 3.2.1).
"""

__all__ = ["run"]

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
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
from lit_gen.contracts import SupportsDenoise
from lit_gen.errors import UserError
from lit_gen.functional.denoising import score
from lit_gen.functional.mode_coverage import cell_centres
from lit_gen.functional.worlds import World

_DRAWN = 1000


class _Field(NamedTuple):
    """Scores of a world made noisy: on a grid [cells^D, D], and how wrong they are about noisy points [N, D]."""

    time: float
    snr: float
    points: Tensor
    places: Tensor
    found: Tensor
    truth: Tensor | None
    error: float | None


def run(arguments: Sequence[str]) -> int:
    """Writes ``score_field.png`` and ``score_field.csv``, a line per arrow.

    Raises:
        UserError: If an argument is wrong, the model draws pictures, or it does not learn from noisy points.
    """
    parser = diagnosis_parser("See where noisy points should go.")
    parser.add_argument("--times", type=float, nargs="+", default=[0.05, 0.2, 0.5, 0.8], help="the times")
    parser.add_argument("--cells", type=int, default=20, help="arrows per coordinate")
    parser.add_argument("--num_points", type=int, default=2000, help="the noisy points that errors are means over")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(2, options, "cells", "num_points")
    folder = output_folder(options)
    if not all(0 <= time <= 1 for time in options.times):
        raise UserError(f"--times is {' '.join(map(str, options.times))}: times run from 0, data, to 1, noise")
    _, data = open_data(parser, options)
    model = load_noisy(checkpoint, options, SupportsDenoise, "learns from noisy points, as diffusion does")
    world = check_points(model, data, "of pictures see 'lit-gen diagnose denoising'")
    check_shape(model, data)
    schedule: Any = model.noise_schedule
    times = schedule.admissible(torch.tensor(options.times, dtype=torch.float64)).tolist()
    fields = [_field(model, world, time, options.cells, options.num_points, options.seed) for time in times]
    if not all(field.found.isfinite().all() for field in fields):
        raise UserError("the model's scores hold NaN or infinity: its training has diverged")
    write_table([row for field in fields for row in _rows(field)], folder / "score_field.csv")
    (_draw_plane if len(world.bounds) == 2 else _draw_line)(fields, options.cells, folder / "score_field.png")
    for field in fields:
        told = "" if field.error is None else f"error {field.error:.2%} of the true score's size"
        print(f"t = {field.time:<5.3g} SNR {field.snr:<8.3g} {told}".rstrip())
    if not model.noise_is_independent:
        print("noise and points came together in training: the guessed noise is shown, -ε/σ, which is no score")
    elif fields[0].error is None:
        print("the true scores are not known")
    print(f"figure and table: {folder}/score_field.*")
    return 0


@torch.no_grad()
def _field(model: Any, world: World, time: float, cells: int, num: int, seed: int) -> _Field:
    """Returns the scores at a time, on a grid over what noise makes of the world.

    The error is the root of E‖s − s*‖² / E‖s*‖² over noisy points.
    """
    alpha, sigma = (float(v) for v in model.noise_schedule.at(torch.tensor(time, dtype=torch.float64)))
    noise = torch.Generator().manual_seed(seed)
    points = world.sample(num, noise).double()
    points = alpha * points + sigma * torch.randn(points.shape, generator=noise, dtype=torch.float64)
    bounds = tuple((alpha * low - 2.5 * sigma, alpha * high + 2.5 * sigma) for low, high in world.bounds)
    places = cell_centres(bounds, cells)
    denoise = model.denoiser()

    def said(x_t: Tensor) -> Tensor:
        image = x_t[:, :, None, None].float().to(model.device)
        return score(denoise, image, time).flatten(1).double().cpu()

    # Of noise that was assigned to its points the guesses are no scores of the sum of both.
    known = model.noise_is_independent
    truth = world.noisy_score(places, alpha, sigma) if known else None
    error, true = None, world.noisy_score(points, alpha, sigma)
    if known and true is not None:
        error = float((said(points) - true).square().sum().div(true.square().sum()).sqrt())
    return _Field(time, (alpha / sigma) ** 2, points, places, said(places), truth, error)


def _rows(field: _Field) -> list[dict[str, float]]:
    names = ["x", "y"][: field.places.shape[1]]
    truth = torch.full_like(field.found, math.nan) if field.truth is None else field.truth
    return [
        {
            "t": field.time,
            **dict(zip(names, place, strict=True)),
            **{f"score_{name}": value for name, value in zip(names, found, strict=True)},
            **{f"true_{name}": value for name, value in zip(names, true, strict=True)},
        }
        for place, found, true in zip(field.places.tolist(), field.found.tolist(), truth.tolist(), strict=True)
    ]


def _title(field: _Field) -> str:
    error = "" if field.error is None else f", error {field.error:.1%}"
    return f"t = {field.time:.2g}, SNR {field.snr:.3g}{error}"


def _draw_plane(fields: Sequence[_Field], cells: int, file: Path) -> None:
    """Draws arrows of one length among noisy points, coloured by the score's size, above those of the truth."""
    known = fields[0].truth is not None
    figure, axes = new_figure(4.1 * len(fields), 7.6 if known else 4.1, len(fields), 1 + known)
    for number, field in enumerate(fields):
        kinds: Mapping[str, Tensor | None] = {"the model": field.found, "the truth": field.truth}
        largest = field.truth if field.truth is not None else field.found
        low, high = largest.norm(dim=1).clamp(min=1e-6).log10().aminmax()
        for row, (name, vectors) in enumerate(kinds.items()):
            if vectors is None:
                continue
            axis = axes[row * len(fields) + number]
            axis.scatter(*field.points[:_DRAWN].T.numpy(), s=3, color="tab:orange", alpha=0.5, linewidths=0)
            size = vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)
            step = float(field.places[:, 0].amax() - field.places[:, 0].amin()) / (cells - 1)
            arrows = axis.quiver(
                *field.places.T.numpy(),
                *(0.8 * step * vectors / size).T.numpy(),
                size[:, 0].log10().numpy(),
                **{"angles": "xy", "scale_units": "xy", "scale": 1, "pivot": "middle", "width": 0.004},
                clim=(float(low), float(high)),
                cmap="viridis",
            )
            axis.set_aspect("equal")
            axis.grid(False)
            axis.set(xlim=field.places[[0, -1], 0].tolist(), ylim=field.places[[0, -1], 1].tolist())
            axis.margins(0.05)
            if not row:
                axis.set_title(_title(field), fontsize=10)
            figure.colorbar(arrows, ax=axis, shrink=0.7).ax.tick_params(labelsize=7)
            if not number:
                axis.set_ylabel(name, fontsize=10)
    figure.suptitle("Where noisy points should go; colour: log10 of the score's size", fontsize=10)
    save_figure(figure, file)


def _draw_line(fields: Sequence[_Field], cells: int, file: Path) -> None:
    """Draws the score over a line, and the truth."""
    figure, axes = new_figure(3.6 * len(fields), 3.4, len(fields))
    for axis, field in zip(axes, fields, strict=True):
        axis.plot(field.places[:, 0].numpy(), field.found[:, 0].numpy(), color="tab:blue", label="the model")
        if field.truth is not None:
            axis.plot(field.places[:, 0].numpy(), field.truth[:, 0].numpy(), "--", color="0.3", label="the truth")
        axis.set_title(_title(field), fontsize=9)
        axis.set_xlabel("$x_t$")
    axes[0].set_ylabel("score")
    axes[0].legend()
    save_figure(figure, file)
