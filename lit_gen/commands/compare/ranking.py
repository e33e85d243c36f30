"""Ranks scores, those of like protocols only; runs that differ in the seed alone are one row."""

__all__ = ["Estimate", "Group", "Ranking", "Row", "Which", "rank"]

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lit_gen.commands.compare.circumstances import circumstances, fit
from lit_gen.commands.compare.metric_names import direction, plain_names, spread_of, value_of
from lit_gen.commands.compare.scores import Score
from lit_gen.commands.compare.seeds import Seeds
from lit_gen.errors import UserError, nearest

Which: TypeAlias = Literal["best", "last", "all"]


@dataclass(frozen=True)
class Estimate:
    """A value and its spread: over seeds where there are several, else as the metric measured it, if it did."""

    value: float
    spread: float | None = None
    seeds: int = 1

    def __str__(self) -> str:
        """The value and ± its spread, to the digits that matter."""
        return f"{self.value:.4g}" if self.spread is None else f"{self.value:.4g} ± {self.spread:.2g}"


@dataclass(frozen=True)
class Row:
    """One place of a ranking: one checkpoint, or those of several seeds."""

    rank: int
    name: str
    metrics: Mapping[str, Estimate]
    scores: tuple[Score, ...]
    of: int

    @property
    def steps(self) -> str:
        """The steps of its checkpoints."""
        return ", ".join(str(step) for step in dict.fromkeys(score.step for score in self.scores) if step is not None)


@dataclass(frozen=True)
class Group:
    """A ranking of scores of one protocol.

    Attributes:
        protocol: The fields that the metric depends on; empty for scores that do not say how they came about.
        rows: The ranking, the best first.
        scores: All scores of the group, ranked or not.
    """

    protocol: Mapping[str, Any]
    rows: tuple[Row, ...]
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Ranking:
    """One ranking per protocol, the largest first.

    Attributes:
        by: The metric's plain name.
        groups: The rankings.
        without: Scores that lack the metric, or the protocol, and are in none of them.
    """

    by: str
    groups: tuple[Group, ...]
    without: tuple[Score, ...]


def rank(
    scores: Sequence[Score], by: str | None = None, which: Which = "best", alike: Mapping[str, Seeds] | None = None
) -> Ranking:
    """Ranks scores within their protocols.

    Arguments:
        scores: The scores of any number of runs.
        by: The metric's plain name; by default the first that all scores have, or else most.
        which: Which checkpoint of a run is ranked: the best by the metric, the last, or all of them.
        alike: The runs that differ in the seed only, by each one's name; others stand for themselves.

    Raises:
        UserError: If there are no scores, or none by the metric, or its direction is not known.
    """
    by = _metric(scores, by)
    groups: dict[str, tuple[dict[str, Any], list[Score]]] = {}
    without = []
    for score in scores:
        if value_of(score.metrics, by) is None or not score.protocol:
            without.append(score)
            continue
        fields = circumstances(score.protocol, by)
        groups.setdefault(repr(sorted(fields.items())), (fields, []))[1].append(score)
    joined = set()
    for key, (fields, members) in groups.items():
        for other, (around, rows) in groups.items():
            if other != key and fit(fields, around):
                rows += members
                joined.add(key)
    ranked = [
        Group(fields, _rows(members, by, which, alike or {}), tuple(members))
        for key, (fields, members) in groups.items()
        if key not in joined
    ]
    ranked.sort(key=lambda group: -len(group.rows))
    # What a checkpoint was scored for besides, by another protocol, is missing nothing.
    scored = {(score.run, score.step) for group in ranked for score in group.scores}
    return Ranking(by, tuple(ranked), tuple(score for score in without if (score.run, score.step) not in scored))


def _metric(scores: Sequence[Score], by: str | None) -> str:
    if not scores:
        raise UserError("there are no scores to compare; make some by 'lit-gen evaluate', or give --evaluate")
    counts: dict[str, int] = {}
    for score in scores:
        for name in plain_names(score.metrics):
            counts[name] = counts.get(name, 0) + (direction(name) is not None)
    by = by or max(counts, key=lambda name: counts[name], default="")
    if by not in counts:
        hint = nearest(by, counts) or f"; there are {', '.join(counts)}"
        raise UserError(f"no scores have a metric '{by}'{hint}")
    if direction(by) is None:
        raise UserError(f"whether a low or a high '{by}' is better is not known; rank by another metric")
    return by


def _rows(scores: Sequence[Score], by: str, which: Which, alike: Mapping[str, Seeds]) -> tuple[Row, ...]:
    sign = 1 if direction(by) == "lower" else -1

    def badness(value: float) -> tuple[bool, float]:
        return math.isnan(value), sign * value

    def of_score(score: Score) -> tuple[bool, float]:
        return badness(value_of(score.metrics, by) or 0.0)

    runs: dict[tuple[str, str], list[Score]] = {}  # what is sampled in another way is another model
    for score in scores:
        runs.setdefault((score.run, score.sampling), []).append(score)
    sets: dict[tuple[Any, ...], list[Score]] = {}
    for (run, sampling), members in runs.items():
        if which == "all":
            for i, score in enumerate(members):
                sets[run, sampling, i] = [score]
            continue
        chosen = min(members, key=of_score) if which == "best" else max(members, key=lambda score: score.step or 0)
        sets.setdefault((alike.get(run, run), sampling), []).append(chosen)
    entries = [(_name(members, alike), members, _estimates(members)) for members in sets.values()]
    entries.sort(key=lambda entry: badness(entry[2][by].value))
    rows: list[Row] = []
    for name, members, estimates in entries:
        tied = bool(rows) and rows[-1].metrics[by].value == estimates[by].value
        of = sum(len(runs[score.run, score.sampling]) for score in members)
        rows.append(Row(rows[-1].rank if tied else len(rows) + 1, name, estimates, tuple(members), of))
    return tuple(rows)


def _name(members: Sequence[Score], alike: Mapping[str, Seeds]) -> str:
    """Returns what a row is called: by the one run that is in it, or by the seeds."""
    present = [score.run for score in members]
    return present[0] if len(present) == 1 else alike[present[0]].name(present)


def _estimates(scores: Sequence[Score]) -> dict[str, Estimate]:
    """Returns mean and standard deviation (of n − 1) over seeds, of the metrics that all of them have."""
    estimates = {}
    for name in plain_names(scores[0].metrics):
        values = [value for score in scores if (value := value_of(score.metrics, name)) is not None]
        if len(values) == len(scores) == 1:
            estimates[name] = Estimate(values[0], spread_of(scores[0].metrics, name))
        elif len(values) == len(scores):
            estimates[name] = Estimate(statistics.fmean(values), statistics.stdev(values), len(values))
    return estimates
