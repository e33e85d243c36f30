"""``lit-gen sample``: draws images from a checkpoint into a grid, a folder or an array file."""

__all__ = ["class_labels", "run"]

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy
import torch
from jsonargparse import ArgumentParser, Namespace
from torch import Tensor

from lit_gen.callbacks.classifier_guidance import ClassifierGuidance
from lit_gen.callbacks.sampling import draw_floats
from lit_gen.commands.checkpointed import (
    checkpoint_parser,
    choose_device,
    instantiate,
    load_sampler,
    parse,
    read_wanted,
)
from lit_gen.commands.classes import import_all
from lit_gen.commands.drawing_options import add_drawing_options, names_sampler, use_sampler
from lit_gen.commands.output import check_output, numbered, replacing_folder
from lit_gen.commands.watching import drawn_batches
from lit_gen.contracts import ImageData, PointData, SupportsSample
from lit_gen.errors import UserError, nearest
from lit_gen.functional.atomic import replacing
from lit_gen.functional.image_grid import image_grid
from lit_gen.functional.png import write_png
from lit_gen.training.loading import build_data

_OTHER_FORMATS = (".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy")
_MOST_COLUMNS = 32
_MOST_LISTED = 20


def run(arguments: Sequence[str]) -> int:
    """Runs the command; image i depends on the seed and on i alone, whatever the batch size and the output.

    Raises:
        UserError: If an argument is wrong.
    """
    if names_sampler(arguments):
        import_all()  # for their short names
    parser = _parser()
    options = parse(parser, arguments)
    for name in ("num_samples", "batch_size"):
        if options[name] < 1:
            raise UserError(f"--{name} is {options[name]}, and must be at least 1")
    if not options.output:
        raise UserError("--output is missing: name a .png for one grid, a .npz for arrays, or a folder for single PNGs")
    output = Path(options.output).expanduser()
    if output.suffix.lower() in _OTHER_FORMATS or output.suffix in (".PNG", ".NPZ"):
        raise UserError(f"--output is {output}: images are written as .png, arrays as .npz")
    check_output(output, folder=output.suffix not in (".png", ".npz"), overwrite=options.overwrite)
    device = choose_device(options.device)
    checkpoint = read_wanted(options.ckpt_path, options.runs)
    model = _sampler(checkpoint, instantiate(parser, options), device)
    settings = {name: options[name] for name in ("truncation", "temperature") if options[name] is not None}
    named = type(model).__name__ + "'s samples" if options.classifier_guidance is None else "samples that are guided"
    for name in settings:
        if name not in inspect.signature(model.sample).parameters:
            raise UserError(f"--{name} is no setting of {named}")
    num_classes = getattr(model, "num_classes", None)
    wanted = class_labels(options.label or [], num_classes, checkpoint, options.trust)
    if checkpoint.get("datamodule_hyper_parameters") and isinstance(build_data(checkpoint, options.trust), PointData):
        return _write_points(model, options, output, settings)
    if options.watch and output.suffix != ".png":
        raise UserError(f"--watch is for a grid, a .png, and --output is {output}")
    label = torch.tensor(wanted)[torch.arange(options.num_samples) % len(wanted)] if wanted else None
    columns = None
    if 1 < len(wanted) <= min(_MOST_COLUMNS, options.num_samples):
        # A column holds one class; of few classes each gets several, for about a square.
        columns = len(wanted) * max(1, round(math.sqrt(options.num_samples) / len(wanted)))
    parts = torch.arange(options.num_samples).split(options.batch_size)
    batches = drawn_batches(
        model,
        options.seed,
        [part.tolist() for part in parts],
        [None if label is None else label[part].to(device) for part in parts],
        settings,
        output if options.watch else None,
        columns,
    )
    write_images(batches, output, label, columns)
    print(f"{options.num_samples} images: {output}")
    return 0


def _sampler(checkpoint: Mapping[str, Any], options: Namespace, device: torch.device) -> Any:
    """Returns the checkpoint's model, with what the options say of how it draws."""
    guidance = None if options.classifier_guidance is None else ClassifierGuidance(options.classifier_guidance)
    model = load_sampler(checkpoint, options.weights, options.trust, device)
    use_sampler(model, options.sampler, options.guidance)
    if guidance is None:
        return model
    data: Any = build_data(checkpoint, options.trust)
    if isinstance(data, PointData):
        raise UserError("points are no pictures, and there is no classifier of them: leave out --classifier_guidance")
    if hasattr(data, "check"):
        data.check()
    data.prepare_data()
    guidance.prepare(model, data, device)
    return guidance.of(model)


@torch.no_grad()
def _write_points(model: SupportsSample, options: Namespace, output: Path, settings: dict[str, float]) -> int:
    """Writes points as they are, float32 [N, D], which pictures cannot hold."""
    if output.suffix != ".npz":
        raise UserError(f"--output is {output}: this model draws points, which are no pictures; write them to a .npz")
    parts = torch.arange(options.num_samples).split(options.batch_size)
    points = torch.cat(
        [draw_floats(model, options.seed, part.tolist(), None, **settings).flatten(1).cpu() for part in parts]
    )
    with replacing(output) as temporary, temporary.open("wb") as file:
        numpy.savez_compressed(file, points=points.numpy())
    print(f"{options.num_samples} points: {output}")
    return 0


def _parser() -> ArgumentParser:
    parser = checkpoint_parser("Draw images from a checkpoint.")
    parser.add_argument("--num_samples", type=int, default=64, help="the number of images")
    parser.add_argument("--output", type=str | None, help="x.png: one grid; x.npz: arrays; else a folder of PNG files")
    parser.add_argument("--seed", type=int, default=0, help="image i depends on the seed and on i alone")
    parser.add_argument("--label", type=str, nargs="+", help="classes by number or name, taken in turn")
    parser.add_argument("--truncation", type=float | None, help="variety given for fidelity: see GAN.sample")
    parser.add_argument("--temperature", type=float | None, help="likewise: see the model's sample")
    add_drawing_options(parser)
    parser.add_argument("--batch_size", type=int, default=64, help="images drawn at once")
    parser.add_argument("--watch", action="store_true", help="write the grid while it is drawn, row by row")
    parser.add_argument("--overwrite", action="store_true", help="replace the images in an output folder")
    return parser


def write_images(batches: Iterator[Tensor], output: Path, label: Tensor | None, columns: int | None) -> None:
    """Writes images, whole or not at all.

    Arguments:
        batches: Images uint8, shape [n, C, H, W].
        output: ``.png`` for one grid, ``.npz`` for ``images`` [N, H, W, C] and ``labels`` [N], else a folder.
        label: The images' classes, if they have some, shape [N].
        columns: The images per row of a grid, about a square by default.

    Raises:
        UserError: If the images have a number of channels that PNG does not.
    """
    if output.suffix == ".npz":
        images = torch.cat(list(batches)).permute(0, 2, 3, 1)
        labels = {} if label is None else {"labels": label.numpy()}
        with replacing(output) as temporary, temporary.open("wb") as file:
            numpy.savez_compressed(file, images=images.numpy(), **labels)  # type: ignore[arg-type]
    elif output.suffix == ".png":
        write_png(image_grid(torch.cat([_shown(batch) for batch in batches]), columns), output)
    else:
        with replacing_folder(output) as folder:
            count = 0
            for batch in batches:
                for image in _shown(batch):
                    write_png(image, folder / numbered(count))
                    count += 1


def _shown(images: Tensor) -> Tensor:
    if images.shape[1] not in (1, 3):
        raise UserError(f"PNG holds images of 1 or 3 channels, these have {images.shape[1]}; write a .npz instead")
    return images


def class_labels(
    names: Sequence[str],
    num_classes: int | None,
    checkpoint: Mapping[str, Any],
    trust: Sequence[str],
    flag: str = "--label",
) -> list[int]:
    """Returns the classes that are meant: those asked for, or all; none for an unconditional model.

    Arguments:
        names: Classes by number or name.
        num_classes: The number of classes that the model knows, None for an unconditional one.
        checkpoint: The model's, whose data know the names.
        trust: Packages whose classes the checkpoint may name.
        flag: The option that names them.

    Raises:
        UserError: If there is no such class.
    """
    if num_classes is None:
        if names:
            raise UserError(f"the model of '{checkpoint['path']}' is unconditional: it cannot sample by {flag}")
        return []
    if not names:
        return list(range(num_classes))
    known: Sequence[str] = ()
    if not all(name.isdecimal() for name in names):
        known = cast(ImageData, build_data(checkpoint, trust)).class_names or ()
    return [_class(name, num_classes, known, flag) for name in names]


def _class(name: str, num_classes: int, known: Sequence[str], flag: str) -> int:
    if name.isdecimal():
        if int(name) >= num_classes:
            raise UserError(f"{flag} is {name}, but labels run from 0 to {num_classes - 1}")
        return int(name)
    lower = [one.lower() for one in known]
    if name.lower() not in lower:
        listed = f": {', '.join(known)}" if len(known) <= _MOST_LISTED else ""
        raise UserError(f"there is no class '{name}'{nearest(name, known) or listed}")
    return lower.index(name.lower())
