"""Numbers that were measured several times, with other random numbers each time."""

__all__ = ["summary", "told"]

import math
import statistics
from collections.abc import Sequence


def summary(numbers: Sequence[float]) -> dict[str, float | int]:
    """Returns their mean, the standard deviation of one of them (NaN if there is only one), and how many there are."""
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else math.nan
    return {"mean": statistics.fmean(numbers), "deviation": deviation, "repeats": len(numbers)}


def told(numbers: Sequence[float], form: str = ".3f") -> str:
    """Returns mean ± deviation, or the one number."""
    mean, deviation = summary(numbers)["mean"], summary(numbers)["deviation"]
    return f"{mean:{form}}" + ("" if math.isnan(deviation) else f" ± {deviation:{form}}")
