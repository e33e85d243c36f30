"""What the arguments say before any parser is built: which files, which checkpoint, which run."""

__all__ = ["Request", "default_name"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_gen.commands.arguments import flag_values, flag_words
from lit_gen.commands.runs import MissingCheckpoint, find_checkpoint, run_folder_of
from lit_gen.commands.shipped import resolve_config
from lit_gen.errors import UserError, first_line
from lit_gen.training.trust import check_grants, check_trusted

_CONFIG = ("--config", "-c")


@dataclass(frozen=True)
class Request:
    """The arguments of a command, with configuration files and the checkpoint found.

    Attributes:
        arguments: The arguments with every ``--config`` as a path that exists.
        configs: What those files say, by name.
        runs: The folder that all runs lie in.
        name: The run's config name, None if there is neither a ``--config`` nor a run to go on with.
        checkpoint: The checkpoint file, if one is asked for.
        trust: The packages whose classes the checkpoint, and a configuration that is found beside it, may name, and the
            programs that this may have run.
        notes: What the user should be told, a line each.
    """

    arguments: list[str]
    configs: list[tuple[str, Mapping[str, Any]]]
    runs: Path
    name: str | None
    checkpoint: Path | None
    trust: list[str]
    notes: list[str]

    @classmethod
    def read(cls, command: str, arguments: Sequence[str]) -> "Request":
        """Reads the arguments of a command and the files they name.

        Raises:
            UserError: If a file is missing or no YAML, or there is no such checkpoint.
        """
        found, paths, notes = list(arguments), [], []
        for i, value in flag_values(found, *_CONFIG):
            if value.lstrip().startswith(("{", "---")):  # YAML itself instead of a file, which jsonargparse takes too
                continue
            path = resolve_config(value)
            found[i] = str(path) if found[i] == value else f"--config={path}"
            paths.append(path)
        configs = [(str(path), _load(path)) for path in paths]
        runs = Path(_setting("runs", found, configs) or "runs").expanduser()
        wanted = _setting("ckpt_path", found, configs)
        name = _config_name(paths[0]) if paths else None
        classes = [flag_values(found, flag) for flag in ("--model", "--data")]
        if name is None and all(classes):
            name = default_name(*(values[-1][1] for values in classes))
        trust = flag_words(found, "--trust")
        checkpoint = None
        if wanted:
            try:
                checkpoint = find_checkpoint(wanted, runs, name)
            except MissingCheckpoint as error:
                if command != "fit":
                    raise
                notes.append(f"{error}; starting afresh")
        folder = run_folder_of(checkpoint) if checkpoint else None
        if command == "fit" and folder and not paths and not flag_values(found, "--model"):
            saved = folder / "config.yaml"
            if saved.is_file():
                notes.append(f"going on with the configuration {saved}")
                found = ["--config", str(saved), *found]
                configs, name = [(str(saved), _load(saved))], _config_name(saved)
                # Nobody has named this file: it may have come with the checkpoint from anywhere.
                check_grants(str(saved), configs[0][1], trust)
                check_trusted(str(saved), None, configs[0][1], [*trust, "pytorch_lightning"])
        return cls(found, configs, runs, name, checkpoint, trust, notes)

    def run_to_continue(self) -> Path | None:
        """Returns the folder of the run that a fit goes on with, None if it begins one of its own.

        It goes on with the checkpoint's run, unless that was started under another config name: then the checkpoint is
        only where the new run starts from.
        """
        folder = run_folder_of(self.checkpoint) if self.checkpoint else None
        return folder if folder and self.name in (None, folder.parent.name) else None


def default_name(model: str, data: str) -> str:
    """Returns the name of a run without configuration file, such as ``gan_fashion_mnist``, from two class paths."""
    names = (path.split(".")[-1] for path in (model, data))
    return "_".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name) for name in names).lower()


def _setting(key: str, arguments: Sequence[str], configs: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    given = [content[key] for _, content in configs if key in content]
    given += [value for _, value in flag_values(arguments, f"--{key}")]
    return str(given[-1]) if given and given[-1] not in (None, "null", "") else None


def _config_name(path: Path) -> str:
    """Returns the file's stem, or, for a run's own config.yaml, the name of that run."""
    if path.name == "config.yaml" and re.match(r"version_\d+$", path.absolute().parent.name):
        return path.absolute().parent.parent.name
    return path.stem


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or first_line(error)
        raise UserError(f"{path}{where}: not valid YAML ({problem})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; a configuration is a mapping of keys to values")
    return content
