"""``lit-gen diagnose interpolate``: what lies between samples, on the straight line and on the sphere.

A generator that has learnt the data by heart jumps from one image to another; one that has learnt what they are made of
changes them gradually, and every image on the way could be real (Radford, Metz & Chintala, 2016, section 6.1). Latents
from N(0, I) lie near a sphere, whose inside the straight line crosses and which training never saw (White, 2016). With
an encoder, the ends may be real images.
"""

__all__ = ["run"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.diagnose.encoded import RealImages, real_starts
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import (
    at_least,
    check_pictures,
    diagnosis_parser,
    output_folder,
    parse_with_real,
    write_table,
)
from lit_gen.errors import UserError
from lit_gen.functional.gif import write_gif
from lit_gen.functional.interpolation import lerp, slerp

_WAYS = {"linear": lerp, "spherical": slerp}
_VIDEO_SIZE = 128


def run(arguments: Sequence[str]) -> int:
    """Writes ``interpolate.png``, ``interpolate.csv`` and, unless there are to be no frames, ``interpolate.gif``.

    Raises:
        UserError: If an argument is wrong.
    """
    parser = diagnosis_parser("Go from sample to sample, straight and on the sphere.")
    parser.add_argument("--images", type=int, nargs="+", default=[0, 1, 2, 3], help="the samples, by number")
    parser.add_argument("--columns", type=int, default=9, help="images in a strip")
    parser.add_argument("--frames", type=int, default=24, help="images of the video between two samples")
    parser.add_argument("--label", type=str | None, help="the class that is drawn (conditional models)")
    options, checkpoint = parse_with_real(parser, arguments)
    at_least(2, options, "columns")
    at_least(0, options, "frames")
    if len(options.images) < 2 or min(options.images) < 0:
        raise UserError("--images names the samples to go through by their numbers: two or more, from 0 up")
    folder = output_folder(options)
    model = LatentModel.load(checkpoint, options)
    check_pictures(model.module)
    real: RealImages | None = None
    if options.real:
        real, ends = real_starts(parser, options, model.module, options.images, "--images")
    else:
        ends = model.latents(options.images)
    # A conditional model is told the class of the image that a strip starts from, unless one is asked for.
    models = [model if options.label or real is None else model.of_class(real.label, i) for i in range(len(ends))]

    t = torch.linspace(0, 1, options.columns, device=ends.device)
    strips, names, rows = [], [], []
    for i in range(len(ends) - 1):
        pair = f"{options.images[i]} → {options.images[i + 1]}"
        for way, between in _WAYS.items():
            z = between(ends[i], ends[i + 1], t)
            strips.append(models[i].images(z))
            names.append(f"{pair} {way}")
            rows += _rows(options.images[i : i + 2], way, t, z, strips[-1])
    columns, gaps = [f"{x:.2g}" for x in t.tolist()], list[int]()
    if real is not None:
        shown = real.image[:, : strips[0].shape[1]]
        strips = [torch.cat([shown[i // 2, None], s, shown[i // 2 + 1, None]]) for i, s in enumerate(strips)]
        columns, gaps = ["real", *columns, "real"], [1, len(columns) + 1]
    title = "Between samples" if real is None else f"Between real images ({options.real})"
    figure = show_strips(torch.stack(strips), names, columns, title, gaps)
    save_figure(figure, folder / "interpolate.png")
    write_table(rows, folder / "interpolate.csv")
    if options.frames:
        write_gif(_video(models, ends, options.frames), folder / "interpolate.gif")
    middle = {way: [row["norm"] for row in rows if row["way"] == way] for way in _WAYS}
    for way, norms in middle.items():
        print(f"{way:<10}  least norm of a latent {min(norms):.3g}, greatest {max(norms):.3g}")
    print(f"figure, table{' and video' if options.frames else ''}: {folder}/interpolate.*")
    return 0


def _rows(images: Sequence[int], way: str, t: Tensor, z: Tensor, shown: Tensor) -> list[dict[str, Any]]:
    """Returns a line per image of a strip; ``change`` is the root mean square step from the last one, of 255 levels."""
    x = shown.float().flatten(1)
    change = [0.0, *(x[1:] - x[:-1]).square().mean(dim=1).sqrt().tolist()]
    return [
        {"from": images[0], "to": images[1], "way": way, "t": t[i].item(), "norm": z[i].norm().item(), "change": step}
        for i, step in enumerate(change)
    ]


def _video(models: Sequence[LatentModel], ends: Tensor, frames: int) -> Tensor:
    """Returns the frames of a round trip on the sphere, uint8 [T, C', H, W], small images enlarged."""
    t = torch.arange(frames, device=ends.device) / frames
    ways = zip(models, ends, ends.roll(-1, dims=0), strict=True)
    images = torch.cat([model.images(slerp(a, b, t)) for model, a, b in ways])
    images = images[:, : 3 if images.shape[1] >= 3 else 1]
    larger = max(1, _VIDEO_SIZE // max(images.shape[2:]))
    return images.repeat_interleave(larger, dim=2).repeat_interleave(larger, dim=3)
