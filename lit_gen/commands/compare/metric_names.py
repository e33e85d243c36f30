"""Metrics by plain name: which direction is better, what their spread is called, which settings they look at."""

__all__ = ["Direction", "direction", "looks_at", "plain_names", "spread_of", "value_of"]

from collections.abc import Mapping
from typing import Literal, TypeAlias

from lit_gen.metrics.protocol import MATTERS_TO

Direction: TypeAlias = Literal["lower", "higher"]

_BETTER: dict[str, Direction] = {
    **dict.fromkeys(("fid", "mifid", "kid", "cmmd", "lpips", "l1", "bpd", "nll"), "lower"),
    **dict.fromkeys(("is", "precision", "recall", "density", "coverage", "psnr", "ssim"), "higher"),
    **dict.fromkeys(("segmentation", "changed", "kept", "domain", "cycle", "class"), "higher"),
}
_PART_OF = {
    **dict.fromkeys(("precision", "recall"), "pr"),
    **dict.fromkeys(("density", "coverage"), "dc"),
    "memorisation_distance": "mifid",
}
"""Scores that are asked for by another name."""


def direction(name: str) -> Direction | None:
    """Returns which values of a metric are better, None if it is not known; ``fid_infinity`` is as ``fid``."""
    return _BETTER.get(name.partition("/")[0].split("_")[0])


def plain_names(metrics: Mapping[str, float]) -> list[str]:
    """Lists the metrics of some scores: ``kid_mean`` and ``kid_std`` are one, ``kid``."""
    names = (name for name in metrics if not name.endswith(("_std", "_stderr")))
    return list(dict.fromkeys(name.removesuffix("_mean") for name in names))


def value_of(metrics: Mapping[str, float], name: str) -> float | None:
    """Returns the value of a metric by plain name, None if there is none."""
    return metrics.get(name, metrics.get(f"{name}_mean"))


def spread_of(metrics: Mapping[str, float], name: str) -> float | None:
    """Returns the standard deviation that was measured with a value, None if there was none."""
    return metrics.get(f"{name}_std", metrics.get(f"{name}_stderr"))


def looks_at(field: str, metric: str) -> bool:
    """Returns whether a field of a protocol may change a metric: ``kid_subsets`` changes no FID."""
    return field not in MATTERS_TO or _PART_OF.get(metric, metric) in MATTERS_TO[field]
