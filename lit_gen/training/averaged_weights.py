"""The names of a checkpoint's weights: those last trained, and averages of them, of one half-life or several."""

__all__ = ["average_name", "averaged_state", "check_weights", "chosen_weights"]

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lit_gen.errors import UserError, nearest

_AVERAGE = "ema:"


def average_name(half_life: float) -> str:
    """Returns the name of an average beside the first, which is ``ema``: ``ema:5000`` for 5,000 images."""
    return f"{_AVERAGE}{half_life:.15g}"


def check_weights(name: str) -> str:
    """Returns a name of weights, whose half-life may be written in any way, as `average_name` writes it.

    Raises:
        UserError: If it is neither ``ema``, ``raw`` nor ``ema:HALF_LIFE``.
    """
    if name in ("ema", "raw"):
        return name
    try:
        half_life = float(name.removeprefix(_AVERAGE)) if name.startswith(_AVERAGE) else 0.0
    except ValueError:
        half_life = 0.0
    if not 0 < half_life < math.inf:
        hint = nearest(name, ("ema", "raw"))
        raise UserError(f"weights is '{name}', and must be one of ema, raw, ema:HALF_LIFE{hint}")
    return average_name(half_life)


def chosen_weights(checkpoint: Mapping[str, Any], name: str = "ema") -> tuple[str, dict[str, Tensor]]:
    """Returns the name of the weights that are meant, and those entries of the state dict that they replace.

    Where a run kept no average, ``ema`` means the weights last trained, and the name is ``raw``; the half-life of the
    first average may be given, too, and the name is ``ema``.

    Arguments:
        checkpoint: A checkpoint as `lit_gen.training.loading.read_checkpoint` returns it.
        name: ``ema``, ``raw``, or an average beside the first, ``ema:HALF_LIFE``.

    Raises:
        UserError: If there is no such average, or it is no such name.
    """
    name, state = check_weights(name), checkpoint.get("callbacks", {}).get("EMA", {})
    if name == "raw" or (name == "ema" and not state.get("average")):
        return "raw", {}
    if name == average_name(state.get("half_life", math.nan)):
        name = "ema"
    kept = {"ema": state["average"], **state.get("others", {})} if state else {}
    if name not in kept:
        raise UserError(f"'{checkpoint['path']}' has no weights '{name}'; it has {', '.join(['raw', *kept])}")
    return name, dict(kept[name])


def averaged_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Returns the averaged entries of the state dict, those of the first half-life; none if no average was kept."""
    return chosen_weights(checkpoint)[1]
