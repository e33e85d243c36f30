"""What the kinds of diagnosis share: options, the output folder, data, a table."""

__all__ = [
    "at_least",
    "check_pictures",
    "check_shape",
    "diagnosis_parser",
    "open_data",
    "output_folder",
    "parse_with_data",
    "parse_with_real",
    "write_table",
]

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningDataModule
from torch import nn

from lit_gen.commands.arguments import flag_values, flag_words
from lit_gen.commands.checkpointed import checkpoint_parser, instantiate, parse, read_wanted
from lit_gen.commands.classes import import_all
from lit_gen.commands.output import check_output
from lit_gen.commands.recorded import trusted_config
from lit_gen.contracts import ImageData
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing

_FILES = (".png", ".csv", ".gif", ".json")


def diagnosis_parser(description: str, several: bool = False) -> ArgumentParser:
    """Returns a parser with the options that every diagnosis of a checkpoint, or of several, has."""
    parser = checkpoint_parser(description, several)
    parser.add_argument("--output", type=str | None, help="the folder that figure and table are written to")
    parser.add_argument("--seed", type=int, default=0, help="seeds latents and all other random numbers")
    return parser


def output_folder(options: Namespace) -> Path:
    """Returns the folder to write to; other files in it are left alone.

    Raises:
        UserError: If there is none, or it cannot be written.
    """
    if not options.output:
        raise UserError("--output is missing: name a folder for figure and table")
    folder = Path(options.output).expanduser()
    if folder.suffix.lower() in _FILES:
        raise UserError(f"--output is {folder}: a diagnosis writes several files; name a folder")
    check_output(folder, folder=True, overwrite=True)
    return folder


def at_least(least: float, options: Namespace, *names: str) -> None:
    """Checks numbers.

    Raises:
        UserError: If one is too small; names its option.
    """
    for name in names:
        if not options[name] >= least:
            raise UserError(f"--{name} is {options[name]}, and must be at least {least}")


def parse_with_data(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[Namespace, list[dict[str, Any]]]:
    """Parses arguments of which some are of the data; those of the first checkpoint are the default.

    Returns:
        The options, and the checkpoints that ``--ckpt_path`` names.

    Raises:
        UserError: If an argument is wrong, or a checkpoint is missing.
    """
    import_all()
    parser.add_subclass_arguments(LightningDataModule, "data", required=False, fail_untyped=False)
    # The data are the parser's default, so the checkpoints are read before the arguments are understood.
    runs = next((value for _, value in flag_values(arguments, "--runs")[::-1]), "runs")
    checkpoints = [read_wanted(path, runs) for path in flag_words(arguments, "--ckpt_path") or [""]]
    recorded = trusted_config(checkpoints[0], flag_words(arguments, "--trust"))
    if "data" in recorded:
        parser.set_defaults({"data": recorded["data"]})
    options = parse(parser, arguments)
    if options.data is None:
        raise UserError(f"'{checkpoints[0]['path']}' does not say which data it was trained on; name them with --data")
    return options, checkpoints


def parse_with_real(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[Namespace, dict[str, Any]]:
    """Parses arguments of which ``--real`` names a split of real images; only with it do data matter.

    Returns:
        The options, and the checkpoint.

    Raises:
        UserError: If an argument is wrong, or the checkpoint is missing.
    """
    parser.add_argument("--real", type=str | None, help="the split of real images to start from, by the encoder")
    if flag_words(arguments, "--real"):
        options, (checkpoint, *_) = parse_with_data(parser, arguments)
        return options, checkpoint
    if any(word.startswith("--data") for word in arguments):
        raise UserError("--data matters only with --real SPLIT, which starts from real images")
    options = parse(parser, arguments)
    return options, read_wanted(options.ckpt_path, options.runs)


def open_data(parser: ArgumentParser, options: Namespace) -> tuple[Namespace, ImageData]:
    """Makes the objects of the options, and readies the data.

    Raises:
        UserError: If an argument is wrong, or the data are not there.
    """
    made = instantiate(parser, options)
    if hasattr(made.data, "check"):
        made.data.check()
    made.data.prepare_data()
    return made, cast(ImageData, made.data)


def check_shape(model: nn.Module, data: ImageData) -> None:
    """Looks whether a model draws images like those of the data.

    Raises:
        UserError: If it does not.
    """
    drawn = tuple(getattr(model, "image_shape", data.image_shape))
    if drawn != tuple(data.image_shape):
        raise UserError(
            f"the images of {data.name} are of shape {tuple(data.image_shape)}, but the model draws {drawn}: compare "
            "it with data of its own shape"
        )


def check_pictures(model: nn.Module) -> None:
    """Looks whether a model draws pictures, and not points of a toy world, which are images of one pixel.

    Raises:
        UserError: If it draws points.
    """
    if tuple(getattr(model, "image_shape", ()))[1:] == (1, 1):
        raise UserError(
            "the model draws points, which are no pictures: this diagnosis shows pictures; those of points are in the "
            "run's samples/, and 'lit-gen test' measures how they fit their world"
        )


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes rows of equal keys as CSV; the file appears only when it is whole."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _written(value) for name, value in row.items()})


def _written(value: Any) -> Any:
    """Returns what stands in a table: six digits, and nothing where a number is not known."""
    return value if not isinstance(value, float) else "" if math.isnan(value) else f"{value:.6g}"
