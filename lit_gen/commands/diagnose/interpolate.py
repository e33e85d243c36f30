"""``lit-gen diagnose interpolate``: what lies between samples, on the straight line and on the sphere.

A generator that has learnt the data by heart jumps from one image to another; one that has learnt what they are made of
changes them gradually, and every image on the way could be real (Radford, Metz & Chintala, 2016, section 6.1). Latents
from N(0, I) lie near a sphere, whose inside the straight line crosses and which training never saw (White, 2016).
"""

__all__ = ["run"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.checkpointed import parse, read_wanted
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import at_least, check_pictures, diagnosis_parser, output_folder, write_table
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
    options = parse(parser, arguments)
    at_least(2, options, "columns")
    at_least(0, options, "frames")
    if len(options.images) < 2 or min(options.images) < 0:
        raise UserError("--images names the samples to go through by their numbers: two or more, from 0 up")
    folder = output_folder(options)
    model = LatentModel.load(read_wanted(options.ckpt_path, options.runs), options)
    check_pictures(model.module)
    ends = model.latents(options.images)

    t = torch.linspace(0, 1, options.columns, device=ends.device)
    strips, names, rows = [], [], []
    for i in range(len(ends) - 1):
        pair = f"{options.images[i]} → {options.images[i + 1]}"
        for way, between in _WAYS.items():
            z = between(ends[i], ends[i + 1], t)
            strips.append(model.images(z))
            names.append(f"{pair} {way}")
            rows += _rows(options.images[i : i + 2], way, t, z, strips[-1])
    figure = show_strips(torch.stack(strips), names, [f"{x:.2g}" for x in t.tolist()], "Between samples")
    save_figure(figure, folder / "interpolate.png")
    write_table(rows, folder / "interpolate.csv")
    if options.frames:
        write_gif(_video(model, ends, options.frames), folder / "interpolate.gif")
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


def _video(model: LatentModel, ends: Tensor, frames: int) -> Tensor:
    """Returns the frames of a round trip on the sphere, uint8 [T, C', H, W], small images enlarged."""
    t = torch.arange(frames, device=ends.device) / frames
    z = torch.cat([slerp(a, b, t) for a, b in zip(ends, ends.roll(-1, dims=0), strict=True)])
    images = model.images(z)
    images = images[:, : 3 if images.shape[1] >= 3 else 1]
    larger = max(1, _VIDEO_SIZE // max(images.shape[2:]))
    return images.repeat_interleave(larger, dim=2).repeat_interleave(larger, dim=3)
