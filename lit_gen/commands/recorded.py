"""What a checkpoint recorded of its model and data, as configuration, and where another configuration differs."""

__all__ = ["check_shapes", "differences", "held_model", "recorded_config", "take_run_settings", "trusted_config"]

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn

from lit_gen.commands.diagnosis import diagnose
from lit_gen.commands.runs import run_folder_of
from lit_gen.errors import UserError, first_line
from lit_gen.training.loading import check_trusted

_SECTIONS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
_SCORING = ("ema", "evaluation", "points", "stacked")


def recorded_config(checkpoint: Mapping[str, Any], linked: Sequence[str] = ()) -> dict[str, Any]:
    """Returns ``model`` and ``data`` as a configuration would give them.

    Arguments:
        checkpoint: A checkpoint as `read_checkpoint` returns it.
        linked: The model's arguments that the data decide, to be left out.
    """
    config = {}
    for section, key in _SECTIONS.items():
        settings = {name: value for name, value in checkpoint.get(key, {}).items() if name != "_instantiator"}
        class_path = settings.pop("_class_path", None)
        if section == "model":
            settings = {name: value for name, value in settings.items() if name not in linked}
        if class_path is not None:
            config[section] = {"class_path": class_path, "init_args": settings}
    return config


def trusted_config(
    checkpoint: Mapping[str, Any], trust: Sequence[str] = (), linked: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the same for classes to be made of it.

    Raises:
        UserError: If it names a class that is neither of lit_gen, of torch, nor of a package in `trust`, or would have
            another package trusted.
    """
    config = recorded_config(checkpoint, linked)
    for section in config.values():
        check_trusted(checkpoint["path"], section["class_path"], section["init_args"], trust)
    return config


def held_model(checkpoint: Mapping[str, Any], arguments: Mapping[str, Any], trust: Sequence[str] = ()) -> list[str]:
    """Returns options that build the model below a checkpoint's own as the checkpoint says, whose weights it holds.

    Without them a prior over codes, or a diffusion model of latents, would go back to the file that it began with,
    which may have changed, or be there no more.

    Arguments:
        checkpoint: The checkpoint.
        arguments: Those that the configuration gives the model; the packages that its ``trust`` names are trusted, too.
        trust: Packages beside lit_gen and torch whose classes the checkpoint may name.

    Raises:
        UserError: If it names a class of another package, or would have one trusted.
    """
    held = recorded_config(checkpoint).get("model", {}).get("init_args", {}).get("autoencoder")
    files = [name for name in ("codes_of", "latents_of") if name in arguments]
    if not (files and isinstance(held, Mapping) and "class_path" in held):
        return []
    check_trusted(checkpoint["path"], None, held, [*trust, *(arguments.get("trust") or [])])
    return [f"--model.autoencoder={json.dumps(held)}", *(f"--model.{name}=null" for name in files)]


def differences(recorded: Any, given: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields the keys that both have with unlike values, and the two values.

    Arguments:
        recorded: A value of the checkpoint's configuration.
        given: The present configuration's.
        key: The key of both.
    """
    if isinstance(recorded, Mapping) and isinstance(given, Mapping):
        if recorded.get("class_path") != given.get("class_path"):
            yield key, recorded.get("class_path"), given.get("class_path")
            return
        for name in recorded:
            if name in given:
                yield from differences(recorded[name], given[name], key if name == "init_args" else f"{key}.{name}")
    elif _plain(recorded) != _plain(given):
        yield key, recorded, given


def check_shapes(model: nn.Module, checkpoint: Mapping[str, Any]) -> None:
    """Looks whether a checkpoint's weights fit a model, before anything is begun.

    Raises:
        UserError: If they do not; names the first that does not fit.
    """
    own, stored = model.state_dict(), checkpoint["state_dict"]
    # Of a layer's start older checkpoints say nothing: the layer takes them as trained.
    own = {name: value for name, value in own.items() if name in stored or not name.endswith(".initialised")}
    for name in dict.fromkeys([*own, *stored]):
        here, there = (
            tuple(state[name].shape) if isinstance(state.get(name), torch.Tensor) else None for state in (own, stored)
        )
        if here != there:
            words = [f"{shape}" if shape is not None else "absent" for shape in (here, there)]
            raise UserError(
                f"'{checkpoint['path']}' does not fit this configuration: {name} is {words[0]} here, {words[1]} there"
            )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def take_run_settings(parser: ArgumentParser, checkpoint: Path | None, trust: Sequence[str] = ()) -> list[str]:
    """Makes how the run of a checkpoint was averaged and scored, as its config.yaml says, the defaults of a parser.

    Without it a test would score by another protocol than the run itself. A section that is damaged, or that names what
    is not trusted, is left out.

    Returns:
        A line for each section that is left out, with the reason.

    Raises:
        UserError: If there is a setting that the parser has not.
    """
    folder = run_folder_of(checkpoint) if checkpoint else None
    path = folder / "config.yaml" if folder else None
    if path is None or not path.is_file():
        return []
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(config, Mapping):
            raise ValueError(f"it holds a {type(config).__name__}")
    except (OSError, yaml.YAMLError, ValueError) as error:
        unused = f"the run's own settings of {', '.join(_SCORING)} are not used"
        return [f"{unused}: '{path}' cannot be read: {first_line(error)}"]
    notes = []
    for key in _SCORING:
        section = config.get(key, {})
        try:
            if not isinstance(section, Mapping):
                raise UserError(f"'{path}' holds a {type(section).__name__} there")
            check_trusted(str(path), "lit_gen.callbacks", section, trust)
        except UserError as error:
            notes.append(f"the run's own settings of {key} are not used: {error}")
            continue
        for name, value in section.items():
            try:
                parser.set_defaults({f"{key}.{name}": value})
            except KeyError as error:
                complaint = f"Group '{key}' does not accept option '{name}'"
                raise diagnose(complaint, parser, [(str(path), config)]) from error
    return notes
