"""Configurations of runs, flat, and the settings in which they differ."""

__all__ = ["SEED", "differing", "read_settings"]

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

SEED = "seed_everything"

_ELSEWHERE = ("runs", "ckpt_path", "trust")
"""Keys that say where a run's files lie, not what the run is."""


def read_settings(file: Path) -> dict[str, str]:
    """Returns a run's configuration as ``model.latent_dim`` → text; nothing from a file that is missing or damaged."""
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    if not isinstance(content, dict):
        return {}
    return dict(_flat({key: value for key, value in content.items() if key not in _ELSEWHERE}, ""))


def differing(settings: Sequence[Mapping[str, str]]) -> dict[str, list[str | None]]:
    """Returns the settings that are not the same everywhere: key → the value in each, None where it does not occur.

    Whatever stands below a setting that is another class is left out: other classes have other arguments.

    Arguments:
        settings: The configurations, as `read_settings` returns them.
    """
    keys = sorted({key for one in settings for key in one})
    found = {key: [one.get(key) for one in settings] for key in keys}
    unlike = {key: values for key, values in found.items() if len(set(values)) > 1}
    return {
        key: values
        for key, values in unlike.items()
        if not any(above in unlike for above in _above(key)) and any(value not in (None, "null") for value in values)
    }


def _above(key: str) -> Iterator[str]:
    parts = key.split(".")
    for i in range(1, len(parts)):
        yield ".".join(parts[:i])


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yields keys and values; a class is a value at its key, its arguments stand below, of lists the places do."""
    if isinstance(value, Mapping) and "class_path" in value:
        yield key, str(value["class_path"]).rpartition(".")[2]
        yield from _flat(value.get("init_args") or {}, key)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _flat(one, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for i, one in enumerate(value):
            yield from _flat(one, f"{key}.{i}")
    else:
        yield key, "null" if value is None else str(value)
