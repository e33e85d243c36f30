"""``lit-gen diagnose denoising``: samples while they come out of noise, and what the model takes them for on the way.

At every step the model guesses the image x that is in x_t. Its first guess is about the mean of all images; what is
large is decided early, what is small late (Ho, Jain & Abbeel, 2020, section 4.3).
"""

__all__ = ["run"]

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.checkpointed import parse, read_wanted
from lit_gen.commands.diagnose.noisy import load_noisy, picture
from lit_gen.commands.diagnose.options import (
    at_least,
    check_pictures,
    diagnosis_parser,
    output_folder,
    write_table,
)
from lit_gen.commands.sample import class_labels
from lit_gen.contracts import SupportsStages
from lit_gen.errors import UserError
from lit_gen.functional.gif import write_gif
from lit_gen.functional.image_grid import image_grid
from lit_gen.training.seeding import derive_seed, generators

_VIDEO_SIZE = 96
_SECONDS, _AT_THE_END = 0.05, 1.0


class _Stage(NamedTuple):
    """Images on their way, uint8 [N, C, H, W], what they are taken for, and their level of noise."""

    noisy: Tensor
    guessed: Tensor
    level: Any


def run(arguments: Sequence[str]) -> int:
    """Writes ``denoising.png``, ``denoising.csv`` and, unless there are to be no frames, ``denoising.gif``.

    Raises:
        UserError: If an argument is wrong, or the model's images do not come out of noise step by step.
    """
    parser = diagnosis_parser("Watch samples come out of noise.")
    parser.add_argument("--images", type=int, nargs="+", default=[0, 1, 2, 3], help="the samples, by number")
    parser.add_argument("--columns", type=int, default=9, help="images in a strip")
    parser.add_argument("--frames", type=int, default=48, help="images of the video at most")
    parser.add_argument("--label", type=str | None, help="the class that is drawn (conditional models)")
    options = parse(parser, arguments)
    at_least(2, options, "columns")
    at_least(0, options, "frames")
    if min(options.images) < 0:
        raise UserError("--images names the samples by their numbers, from 0 up")
    folder = output_folder(options)
    checkpoint = read_wanted(options.ckpt_path, options.runs)
    what = "makes images of noise step by step, as diffusion does"
    model: Any = load_noisy(checkpoint, options, SupportsStages, what)
    check_pictures(model)
    named = [options.label] if options.label else []
    classes = class_labels(named, getattr(model, "num_classes", None), checkpoint, options.trust)
    # As lit-gen sample has them: classes in turn.
    label = torch.tensor([classes[i % len(classes)] for i in options.images]) if classes else None

    last = len(model.sampler.levels(model.noise_schedule)) - 1
    columns, frames = _spread(last, options.columns), _spread(last, options.frames)
    stages = _watched(model, options.images, label, options.seed, {*columns, *frames})
    rows = [
        {
            "image": image,
            **({} if label is None else {"label": int(label[i])}),
            "step": step,
            "t": stages[step].level.t,
            "snr": _snr(stages[step].level),
            "to_end": _distance(stages[step].guessed[i], stages[last].guessed[i]),
        }
        for i, image in enumerate(options.images)
        for step in columns
    ]
    strips = [part for i in range(len(options.images)) for part in _strips(stages, columns, i)]
    names = [name for image in options.images for name in (f"image {image}, noisy", "guessed")]
    times = [f"{stages[step].level.t:.2f}" for step in columns]
    figure = show_strips(torch.stack(strips), names, times, "Samples at times t, and what the model takes them for")
    save_figure(figure, folder / "denoising.png")
    write_table(rows, folder / "denoising.csv")
    if frames:
        video = [_frame(stages[step]) for step in frames]
        write_gif(torch.stack(video + video[-1:] * round(_AT_THE_END / _SECONDS)), folder / "denoising.gif", _SECONDS)
    for step in (0, columns[len(columns) // 2]):
        far = [row["to_end"] for row in rows if row["step"] == step]
        print(f"guesses at t = {stages[step].level.t:.2g} are {sum(far) / len(far):.1f} of 255 levels from the samples")
    print(f"figure, table{' and video' if frames else ''}: {folder}/denoising.*")
    return 0


@torch.no_grad()
def _watched(model: Any, images: Sequence[int], label: Tensor | None, seed: int, wanted: set[int]) -> dict[int, _Stage]:
    """Returns the stages of samples at the steps that are wanted."""
    levels = model.sampler.levels(model.noise_schedule)
    label = None if label is None else label.to(model.device)
    torch.manual_seed(derive_seed(seed, "batch", *images[:1]))  # of networks with noise of their own
    denoise, stages = model.denoiser(label), {}
    chain = model.sample_stages(len(images), label, generators(seed, images))
    for step, (x_t, level) in enumerate(zip(chain, levels, strict=True)):
        if step in wanted:
            x = denoise(x_t, level.t).x if level.sigma else x_t
            stages[step] = _Stage(picture(model, x_t, level.alpha, level.sigma), picture(model, x), level)
    return stages


def _spread(last: int, num: int) -> list[int]:
    """Returns as many steps from 0 to the last, evenly spaced, or all if there are fewer; the last if it is one."""
    return sorted({round(last * i / (num - 1)) for i in range(num)}) if num > 1 else [last] * num


def _snr(level: Any) -> float:
    return float((level.alpha / level.sigma) ** 2) if level.sigma else float("inf")


def _distance(a: Tensor, b: Tensor) -> float:
    """Returns the root mean square distance of images, of 255 levels."""
    return float((a.float() - b.float()).square().mean().sqrt())


def _strips(stages: dict[int, _Stage], columns: Sequence[int], i: int) -> list[Tensor]:
    """Returns an image's strip, and that of what it is taken for."""
    return [torch.stack([stages[step][part][i] for step in columns]) for part in (0, 1)]


def _frame(stage: _Stage) -> Tensor:
    """Returns a frame of the video: the images side by side, above what they are taken for; small ones enlarged."""
    grid = image_grid(torch.cat([stage.noisy, stage.guessed]), len(stage.noisy))
    larger = max(1, _VIDEO_SIZE // max(stage.noisy.shape[2:]))
    return grid.repeat_interleave(larger, dim=1).repeat_interleave(larger, dim=2)
