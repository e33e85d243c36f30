"""Rebuilding a model and its data from a checkpoint, without running anything that the file could bring along."""

__all__ = ["build_data", "build_model", "check_trusted", "load", "load_model", "read_checkpoint"]

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule, LightningModule

from lit_gen.errors import UserError
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.averaged_weights import chosen_weights
from lit_gen.training.module import GenerativeModule
from lit_gen.training.recording import UNRECORDED, recorded
from lit_gen.training.trust import check_trusted

_CLASS = re.compile(r"Problem with given class_path '([\w.]+)'")
_UNKNOWN = re.compile(
    r"(?:Option|Key) '([^']+)' is not (?:accepted|expected)(?:\. Got value: Namespace\(class_path='([\w.]+)')?"
)
_NONE = "- Expected a <class 'NoneType'>"
_TREE = ('Parser key "it"', "Does not validate", "Subtypes:", "Errors:", _NONE, "Given value")
_TO_REBUILD: dict[str, type] = {"state_dict": Mapping, "hyper_parameters": Mapping}
_TO_RESUME: dict[str, type] = {"state_dict": Mapping, "global_step": int, "pytorch-lightning_version": str}
_MAPPINGS = ("state_dict", "loops", "callbacks", "hyper_parameters", "datamodule_hyper_parameters")


def load(path: str | Path, weights: str = "ema", trust: Sequence[str] = (), **arguments: Any) -> LightningModule:
    """Loads a trained model, ready to use: in evaluation mode, with averaged weights, on the CPU.

    Arguments:
        path: A checkpoint file.
        weights: ``"ema"`` for averaged weights where the checkpoint has them, ``"ema:5000"`` for those of another
            half-life that it has, ``"raw"`` for those last trained.
        trust: Packages beside lit_gen and torch whose classes the checkpoint may name.
        arguments: Constructor arguments that replace the recorded ones.

    Raises:
        UserError: If the file is missing, damaged, no checkpoint of lit_gen, or names a class of an untrusted package
            (or has one trusted, as that of a model over another, which was trained with ``--model.trust``).
    """
    return load_model(read_checkpoint(path), weights, trust, **arguments)


def read_checkpoint(path: str | Path, rebuild: bool = True) -> dict[str, Any]:
    """Reads a checkpoint file onto the CPU; only tensors and primitives are unpickled.

    Arguments:
        path: The file.
        rebuild: Whether it must say which model it is of; one that does not can still be resumed.

    Raises:
        UserError: If there is no such file, or it is truncated or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no checkpoint '{path}'")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        _check_sums(path)
    except Exception as error:  # garbage can make the unpickler stumble in any way
        raise UserError(
            f"'{path}' cannot be read as a checkpoint: it is damaged or another kind of file ({type(error).__name__})"
        ) from error
    needed = _TO_REBUILD if rebuild else _TO_RESUME
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(key), needed[key]) for key in needed):
        purpose = "rebuild a model from" if rebuild else "go on from"
        raise UserError(f"'{path}' is not a checkpoint that lit_gen can {purpose}")
    for key in _MAPPINGS:
        if not isinstance(checkpoint.get(key, {}), Mapping):
            raise UserError(f"'{path}' is not a checkpoint of lit_gen: its {key} are no mapping")
    checkpoint["path"] = str(path)
    return checkpoint


def load_model(
    checkpoint: Mapping[str, Any], weights: str = "ema", trust: Sequence[str] = (), **arguments: Any
) -> LightningModule:
    """Builds the model of a checkpoint that was read; see `load`."""
    model = build_model(checkpoint, trust, **arguments)
    state = {**checkpoint["state_dict"], **chosen_weights(checkpoint, weights)[1]}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"'{checkpoint['path']}' does not fit {type(model).__name__}: {_second_line(error)}") from error
    if isinstance(model, AdversarialModule):
        model.apply_memory_format()
    return model.eval()


def build_model(checkpoint: Mapping[str, Any], trust: Sequence[str] = (), **arguments: Any) -> LightningModule:
    """Builds the model of a checkpoint as it was before training, newly initialised; see `load`."""
    model = _build(LightningModule, checkpoint, "hyper_parameters", trust, arguments)
    if isinstance(model, GenerativeModule):  # not what the parser made of it, of which little can be described again
        model.record_instead(list(model.hparams), {**checkpoint["hyper_parameters"], **recorded(arguments)})
    return model


def build_data(checkpoint: Mapping[str, Any], trust: Sequence[str] = (), **arguments: Any) -> LightningDataModule:
    """Builds the datamodule that a checkpoint's model was trained on.

    Raises:
        UserError: If the checkpoint does not say which data, or names a class of an untrusted package.
    """
    if not checkpoint.get("datamodule_hyper_parameters"):
        raise UserError(f"'{checkpoint['path']}' does not say which data it was trained on; name them with --data")
    return _build(LightningDataModule, checkpoint, "datamodule_hyper_parameters", trust, arguments)


def _build(
    base: type, checkpoint: Mapping[str, Any], key: str, trust: Sequence[str], arguments: Mapping[str, Any]
) -> Any:
    settings = {name: value for name, value in checkpoint[key].items() if name != "_instantiator"}
    settings.update(arguments)
    class_path = settings.pop("_class_path", None)
    if class_path is None:
        raise UserError(f"'{checkpoint['path']}' does not name the class of its {key.replace('_hyper_parameters', '')}")
    for name, value in settings.items():
        if isinstance(value, Mapping) and UNRECORDED in value:
            raise UserError(
                f"'{checkpoint['path']}' could not record the argument '{name}'; give it to load(…, {name}=…)"
            )
    check_trusted(checkpoint["path"], class_path, settings, trust)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, "it", fail_untyped=False, required=True)
    spec = {"it": {"class_path": class_path, "init_args": settings}}
    try:
        return parser.instantiate(parser.parse_object(spec)).it
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"'{checkpoint['path']}' does not fit this version's {class_path}: {_reason(str(error))}"
        ) from error


def _reason(message: str) -> str:
    """Returns what a parser complains of, without the tree of types and values around it.

    Most often it is an argument that another version had, at any depth; the innermost is what is wrong.
    """
    lines, owner, found = [], "", ("", -1)
    for line in message.splitlines():
        indent = len(line) - len(line.lstrip())
        if match := _CLASS.search(line):
            owner = match[1]
        if (match := _UNKNOWN.search(line)) and indent > found[1]:
            found = f"{(match[2] or owner).rpartition('.')[2]} has no argument '{match[1]}'", indent
        if not line.strip().startswith(_TREE):
            lines.append(line.strip().removeprefix("- "))
    return found[0] or " ".join(lines) or "no reason given"


def _check_sums(path: Path) -> None:
    """Compares what a checkpoint holds with its checksums, which torch writes but does not read."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"{damaged} is damaged")


def _second_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[1] if len(lines) > 1 else lines[0]
