"""What sample and evaluate share: options, complaints in one line, the model of a checkpoint, a device."""

__all__ = ["checkpoint_parser", "choose_device", "instantiate", "load_sampler", "parse", "read_wanted"]

from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import LightningModule

from lit_gen.commands.diagnosis import diagnose, user_error
from lit_gen.commands.runs import find_checkpoint
from lit_gen.contracts import SupportsSample
from lit_gen.errors import UserError
from lit_gen.training.averaged_weights import check_weights
from lit_gen.training.loading import load_model, read_checkpoint


def checkpoint_parser(description: str, several: bool = False) -> ArgumentParser:
    """Returns a parser with the options that every command on a checkpoint, or on several, has."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description=description)
    text = "last, best, a run's folder or a checkpoint file"
    if several:
        parser.add_argument("--ckpt_path", type=str, nargs="+", default=[], help=f"{text}; one or more")
    else:
        parser.add_argument("--ckpt_path", type=str | None, help=text)
    parser.add_argument("--runs", type=str, default="runs", help="the folder that all runs lie in")
    parser.add_argument("--weights", type=str, default="ema", help="averaged weights, ema or ema:HALF_LIFE, or raw")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--trust", type=str, nargs="+", default=[], help="packages whose classes may be named")
    parser.add_argument("--help_full", action="help", help="list every option")
    return parser


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parses arguments.

    Raises:
        UserError: If one is wrong.
    """
    try:
        config = parser.parse_args(list(arguments))
    except (ArgumentError, ValueError) as error:
        raise user_error(error) or diagnose(str(error), parser) from error
    if "weights" in config:
        check_weights(config.weights)  # before anything is read or made
    return config


def instantiate(parser: ArgumentParser, config: Namespace) -> Namespace:
    """Makes the objects of a configuration.

    Raises:
        UserError: If an argument of theirs is wrong.
    """
    try:
        return parser.instantiate(config)
    except ValueError as error:
        raise user_error(error) or diagnose(str(error), parser) from error


def read_wanted(ckpt_path: str | None, runs: str) -> dict[str, Any]:
    """Reads the checkpoint that a ``--ckpt_path`` means.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    if not ckpt_path:
        raise UserError("--ckpt_path is missing: give last, best, a run's folder or a checkpoint file")
    return read_checkpoint(find_checkpoint(ckpt_path, Path(runs).expanduser()))


def load_sampler(
    checkpoint: Mapping[str, Any], weights: str, trust: Sequence[str], device: torch.device
) -> LightningModule:
    """Builds the model of a checkpoint on a device.

    Raises:
        UserError: If it cannot be built, or does not sample.
    """
    model = load_model(checkpoint, weights, trust)
    if not isinstance(model, SupportsSample):
        raise UserError(f"{type(model).__name__} of '{checkpoint['path']}' does not sample images")
    return model.to(device)


def choose_device(name: str) -> torch.device:
    """Returns a device by name, ``auto`` being CUDA where there is some.

    Raises:
        UserError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).item()  # of which "meta" has none
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"there is no device '{name}' here; give auto, cpu, cuda or cuda:1") from error
    return device
