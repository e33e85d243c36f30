"""``lit-gen diagnose forward_process``: real images that drown in noise, as a model's schedule has it.

In training all times may come; a schedule that leaves images as good as clean, or as good as gone, for half of them
spends half of the training on that (Nichol & Dhariwal, 2021, section 3.2).
"""

__all__ = ["run"]

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure, show_strips
from lit_gen.callbacks.points_density import draw_stages
from lit_gen.commands.diagnose.encoded import real_images, some_images
from lit_gen.commands.diagnose.noisy import load_noisy, observed, picture
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import PointData, SupportsNoise
from lit_gen.functional.noise import randn
from lit_gen.training.seeding import generators


def run(arguments: Sequence[str]) -> int:
    """Writes ``forward_process.png`` and ``forward_process.csv``, a line per column.

    Raises:
        UserError: If an argument is wrong, or the model does not learn from noisy images.
    """
    parser = diagnosis_parser("See real images drown in noise.")
    parser.add_argument("--images", type=int, nargs="+", default=[0, 1, 2, 3], help="the images, by their places")
    parser.add_argument("--columns", type=int, default=9, help="images in a strip")
    parser.add_argument("--split", type=str, default="test", help="the images")
    parser.add_argument("--num_images", type=int, default=2000, help="how many points at most")
    options, (checkpoint, *_) = parse_with_data(parser, arguments)
    at_least(2, options, "columns", "num_images")
    folder = output_folder(options)
    _, data = open_data(parser, options)
    model = load_noisy(checkpoint, options, SupportsNoise, "learns from noisy images, as diffusion does")
    check_shape(model, data)
    points = isinstance(data, PointData)
    if points:
        real = some_images(data, options.split, options.num_images)
    else:
        real = real_images(data, options.split, options.images, "--images")
    schedule: Any = model.noise_schedule
    t = torch.linspace(0, schedule.span[1], options.columns, dtype=torch.float64)
    t[1:] = schedule.admissible(t[1:])
    t = t.unique()
    # At time 0 there are the images themselves, wherever the schedule begins.
    alpha, sigma = (torch.where(t > 0, at, clean) for at, clean in zip(schedule.at(t), (1.0, 0.0), strict=True))
    rows = [
        {"t": time, "alpha": a, "sigma": s, "snr": (a / s) ** 2 if s else math.inf}
        for time, a, s in zip(t.tolist(), alpha.tolist(), sigma.tolist(), strict=True)
    ]

    x, _ = observed(model, real)
    epsilon = randn(x.shape, generators(options.seed, real.place.tolist()), x.device)
    noisy = [row["alpha"] * x + row["sigma"] * epsilon for row in rows]
    write_table(rows, folder / "forward_process.csv")
    title = f"Of {data.name} ({options.split}): at times t, with SNR"
    if points:
        figure = _points_figure([part.flatten(1).cpu() for part in noisy], rows, title)
    else:
        shown = [picture(model, part, row["alpha"], row["sigma"]) for part, row in zip(noisy, rows, strict=True)]
        names = [f"image {image}" for image in options.images]
        figure = show_strips(torch.stack(shown, dim=1), names, [_told(row, "\n") for row in rows], title)
    save_figure(figure, folder / "forward_process.png")
    half = rows[len(rows) // 2]
    print(f"{type(schedule).__name__}: SNR {half['snr']:.2g} at t = {half['t']:.2g}, {rows[-1]['snr']:.1e} at the end")
    print(f"figure and table: {folder}/forward_process.*")
    return 0


def _told(row: dict[str, float], between: str) -> str:
    snr = row["snr"]
    form = ".0f" if snr >= 100 else ".2g" if snr >= 1e-3 else ".0e"
    return f"{row['t']:.2f}{between}{'∞' if math.isinf(snr) else format(snr, form)}"


def _points_figure(points: Sequence[Tensor], rows: Sequence[dict[str, float]], title: str) -> Any:
    """Draws points at each time, in the plane coloured by where they started, on a line as histograms."""
    figure, axes = new_figure(2.0 * len(rows), 2.5, len(rows))
    names = [f"t {_told(row, ', SNR ')}" for row in rows]
    if points[0].shape[1] == 1:
        for axis, name, part in zip(axes, names, points, strict=True):
            axis.hist(part[:, 0].numpy(), bins=60, density=True, color="tab:blue")
            axis.set_title(name)
            axis.set_yticks([])
    else:
        draw_stages(axes, list(zip(names, points, strict=True)))
    # One scale for all, on which noise is seen to grow.
    low, high = torch.cat(list(points)).aminmax(dim=0)
    for axis in axes:
        axis.title.set_fontsize(9)
        axis.set_xlim(float(low[0]), float(high[0]))
        if len(low) == 2:
            axis.set_ylim(float(low[1]), float(high[1]))
    figure.suptitle(title, fontsize=10)
    return figure
