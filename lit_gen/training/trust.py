"""Which classes a file may name: what is rebuilt from one must not run what the file brings along."""

__all__ = ["check_grants", "check_trusted"]

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import yaml

from lit_gen.errors import UserError

_TRUSTED = ("lit_gen", "torch.nn", "torch.optim")
_RUNS_FILES = "TorchModule"  # by name, for training does not import metrics


def check_trusted(path: str, class_path: str | None, settings: Any, trust: Sequence[str] = ()) -> None:
    """Imports the classes and functions that a file names, if they are of lit_gen, torch.nn, torch.optim, or trusted.

    The parser that builds from the settings later reads more than class paths: text that is YAML, and files of it. Such
    text has no place in what lit_gen records, and is refused. So is a trust of the file's own: see `check_grants`.

    Nor may a file name another that is a program: an extractor runs the TorchScript of its ``weights_path`` if it is
    a `TorchModule`, or has ``weights_sha256`` vouch for it. Such a file must be trusted itself, by its name.

    Arguments:
        path: The file, for messages.
        class_path: The class it is of, None if the settings are all there is.
        settings: Plain data with ``class_path`` keys, or import paths, anywhere in them.
        trust: Modules beside those, where a module stands for all that is in it, and files that are programs.

    Raises:
        UserError: If one is of another module, does not exist, or cannot be told, or a program is not trusted.
    """
    check_grants(path, settings, trust)
    trusted = (*_TRUSTED, *trust)
    runs_files = any(value is not None for value in _values(settings, "weights_sha256"))
    for name in [*([] if class_path is None else [class_path]), *_names(path, settings)]:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"'{path}' names the class {name!r}, which is no import path")
        if not _within(name, trusted):
            raise _untrusted(path, name)
        module, _, attribute = name.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, ValueError, AttributeError) as error:
            raise UserError(f"'{path}' names {name}, which cannot be imported here: {error}") from error
        # A trusted module may itself have imported anything.
        origin = getattr(found, "__module__", None) or getattr(found, "__name__", "")
        if not _within(f"{origin}.", trusted):
            raise _untrusted(path, name)
        runs_files = runs_files or getattr(found, "__name__", "") == _RUNS_FILES
    programs = [str(file) for file in _values(settings, "weights_path") if file is not None] if runs_files else []
    if unasked := [file for file in programs if file not in trust]:
        raise UserError(
            f"'{path}' takes an extractor from {unasked[0]}, which may be a program: if you trust it, say so by "
            f"--trust {unasked[0]}"
        )


def check_grants(path: str, settings: Any, trust: Sequence[str] = ()) -> None:
    """Refuses settings that would have packages trusted which the user has not named.

    A model over another takes ``trust`` as an argument: a file that could set it would import what it likes by the file
    that it names next.

    Raises:
        UserError: If there are any.
    """
    trusted = (*_TRUSTED, *trust)
    granted = (name for value in _values(settings, "trust") for name in _as_list(value))
    unasked = dict.fromkeys(name for name in granted if not _within(f"{name}.", trusted) and name not in trust)
    if unasked:
        raise UserError(f"'{path}' trusts {', '.join(unasked)}: if you do, say so by --trust {' '.join(unasked)}")


def _values(settings: Any, wanted: str) -> Iterator[Any]:
    """Yields what a key is given, at any depth."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if str(key).split(".")[-1].rstrip("+") == wanted:  # with a plus the parser adds to a list
                yield value
            else:
                yield from _values(value, wanted)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _values(value, wanted)


def _as_list(value: Any) -> list[str]:
    return [str(name) for name in value or []] if isinstance(value, Mapping | list | tuple | None) else [str(value)]


def _within(name: str, modules: Sequence[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _untrusted(path: str, name: str) -> UserError:
    return UserError(
        f"'{path}' names {name}; only classes of {', '.join(_TRUSTED[:-1])} and {_TRUSTED[-1]} are built from a file "
        f"unless you trust theirs: --trust {name.split('.')[0]}"
    )


def _names(path: str, value: Any) -> Iterator[Any]:
    """Yields what the parser would import."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).split(".")[-1] == "class_path":
                yield item
            else:
                yield from _names(path, item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(path, item)
    elif isinstance(value, str):
        text = value.strip()
        if _is_structured(text) or _is_structured_file(text):
            raise UserError(f"'{path}' holds {value!r}, which would be read as a configuration of its own")
        if _is_import_path(text):
            yield text


def _is_structured(text: str) -> bool:
    if text.startswith(("{", "[")):
        return True
    try:
        return isinstance(yaml.safe_load(text), Mapping | list)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _is_structured_file(name: str) -> bool:
    try:
        return Path(name).is_file() and _is_structured(Path(name).read_text("utf-8").strip())
    except (OSError, ValueError):
        return False


def _is_import_path(text: str) -> bool:
    """Returns whether a text leads to a module; a function's path is recorded as plain text."""
    parts = text.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return False
    try:
        found = importlib.util.find_spec(parts[0])
        for part in parts[1:]:
            if found is None or found.origin is not None:
                break
            # A folder without __init__.py is a package too. Step by step, since a dotted name would be imported.
            found = PathFinder.find_spec(part, list(found.submodule_search_locations or []))
    except ValueError:  # a module made by hand
        return True
    return found is not None and found.origin is not None
