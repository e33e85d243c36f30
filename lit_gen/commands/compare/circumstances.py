"""Whether two scores came about alike, and in which fields of their protocols they did not."""

__all__ = ["ABSENT", "circumstances", "fit", "unlike"]

from collections.abc import Mapping
from typing import Any

from lit_gen.commands.compare.metric_names import looks_at
from lit_gen.metrics.protocol import is_of_model

ABSENT = "(not recorded)"
"""What stands for a field that a protocol lacks, being older or of another program."""

_DERIVED = ("hash", "extractor_accuracy")  # the first follows from all fields, the second from the extractor's hash


def circumstances(protocol: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Returns the fields of a protocol that a metric depends on, those within fields as ``outer.inner``.

    Arguments:
        protocol: The protocol as JSON has it.
        metric: The metric's plain name.
    """
    fields: dict[str, Any] = {}
    for name, value in protocol.items():
        if name in _DERIVED or not looks_at(name, metric):
            continue
        if isinstance(value, Mapping):
            fields |= {f"{name}.{inner}": one for inner, one in circumstances(value, metric).items()}
        else:
            fields[name] = list(value) if isinstance(value, tuple) else value
    return fields


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns the fields in which two circumstances differ: name → (the one's value, the other's)."""
    names = dict.fromkeys([*one, *other])
    pairs = {name: (one.get(name, ABSENT), other.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def fit(given: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    """Returns whether given images stand beside others that differ in nothing but what drew them.

    Images that no model drew here, samples of somebody's or real ones, have no averaged or raw weights.
    """
    return (
        not is_of_model(str(given.get("weights", "ema")))
        and is_of_model(str(group.get("weights")))
        and set(unlike(given, group)) == {"weights"}
    )
