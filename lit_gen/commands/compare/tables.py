"""What a comparison says, as tables and sentences of plain text; how they look is decided elsewhere."""

__all__ = ["Table", "protocol_table", "ranking_table", "settings_table", "statements"]

from collections.abc import Sequence
from dataclasses import dataclass

from lit_gen.commands.compare.circumstances import circumstances, unlike
from lit_gen.commands.compare.metric_names import direction, plain_names, value_of
from lit_gen.commands.compare.ranking import Group, Ranking
from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.settings import differing

_SHORT = 12
"""The digits of a hash that are shown; more would say nothing to a reader."""


@dataclass(frozen=True)
class Table:
    """A caption, the columns' names, and rows of as many cells."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def ranking_table(group: Group, by: str, caption: str) -> Table:
    """Returns a ranking: place, run, step, the metric it is by, the other metrics, what drew the images.

    Other metrics are shown where the group is alike in what these depend on, too.
    """
    others = dict.fromkeys(name for row in group.rows for name in row.metrics if name != by)
    shown = (name for name in others if name not in _unlike_metrics(group))
    names = [by, *(name for name in shown if "/" not in name)]  # of a score per class the mean will do
    arrows = {"lower": " ↓", "higher": " ↑", None: ""}
    columns = {"weights": lambda score: score.weights, "sampled by": lambda score: score.sampling or "the run"}
    told = {name: of for name, of in columns.items() if len({of(score) for score in group.scores}) > 1}
    several = any(row.of > len(row.scores) for row in group.rows)
    header = ["#", "run", "step", *([] if not several else ["of"]), *(name + arrows[direction(name)] for name in names)]
    rows = []
    for row in group.rows:
        cells = [str(row.rank), row.name, row.steps or "–", *([] if not several else [str(row.of)])]
        cells += [str(row.metrics.get(name, "–")) for name in names]
        cells += [", ".join(dict.fromkeys(of(score) for score in row.scores)) for of in told.values()]
        rows.append(tuple(cells))
    return Table(caption, (*header, *told), tuple(rows))


def protocol_table(group: Group, caption: str) -> Table:
    """Returns every field of a group's protocol that any of its metrics came about by."""
    protocols = [score.protocol for score in group.scores]
    fields = dict.fromkeys(name for protocol in protocols for name in protocol)
    rows = []
    for name in fields:
        values = dict.fromkeys(_text(protocol[name]) for protocol in protocols if name in protocol)
        rows.append((name, "; ".join(values)))
    rows += [(f"sha256 of {score.run}", score.samples) for score in group.scores if score.samples is not None]
    return Table(caption, ("field", "value"), tuple(rows))


def settings_table(runs: Sequence[Run]) -> Table | None:
    """Returns the settings in which runs differ, a column per run; None where there is nothing to compare."""
    known = [run for run in runs if run.settings]
    found = differing([run.settings for run in known]) if len(known) > 1 else {}
    if not found:
        return None
    rows = tuple((key, *("–" if value is None else value for value in values)) for key, values in found.items())
    return Table("Settings that differ", ("setting", *(run.name for run in known)), rows)


def statements(ranking: Ranking, runs: Sequence[Run]) -> list[str]:
    """Returns what a reader must know beside the tables, a sentence each: above all what was not ranked together."""
    lines = []
    groups = ranking.groups
    if len(groups) > 1:
        lines.append(
            f"The scores follow {len(groups)} unlike protocols and are not ranked together; each protocol has a "
            "ranking of its own."
        )
    for number, group in enumerate(groups[1:], 2):
        pairs = unlike(groups[0].protocol, group.protocol)
        fields = [f"{name} ({_brief(here)} in 1, {_brief(there)} in {number})" for name, (here, there) in pairs.items()]
        lines.append(f"Protocol {number} differs from protocol 1 in {', '.join(fields)}.")
    for number, group in enumerate(groups, 1):
        for name, fields in _unlike_metrics(group).items():
            lines.append(f"Protocol {number} shows no {name}: its scores differ in {', '.join(fields)}.")
    unranked = dict.fromkeys(score.run for score in ranking.without if value_of(score.metrics, ranking.by) is None)
    if unranked:
        lines.append(f"Not ranked, having scores but no {ranking.by}: {', '.join(unranked)}.")
    unsaid = dict.fromkeys(score.source for score in ranking.without if not score.protocol)
    if unsaid:
        lines.append(f"Not comparable, as their files state no protocol: {', '.join(unsaid)}.")
    bare = [run.name for run in runs if not run.scores]
    if bare:
        lines.append(f"Without scores: {', '.join(bare)}; --evaluate makes some.")
    if any(estimate.seeds > 1 for group in groups for row in group.rows for estimate in row.metrics.values()):
        lines.append("Where a row names seeds, ± is the standard deviation (n − 1) over the runs of these seeds.")
    if any(row.of > len(row.scores) for group in groups for row in group.rows):
        lines.append("Of several checkpoints of a run, 'of' in all, the one named by its step is ranked.")
    return lines


def _unlike_metrics(group: Group) -> dict[str, list[str]]:
    """Returns the metrics by which the ranked scores of a group cannot be compared, and the fields they differ in."""
    found: dict[str, list[str]] = {}
    scores = [score for row in group.rows for score in row.scores]
    for name in dict.fromkeys(name for score in scores for name in plain_names(score.metrics)):
        having = [circumstances(one.protocol, name) for one in scores if value_of(one.metrics, name) is not None]
        fields = dict.fromkeys(field for one in having for field in unlike(having[0], one) if field != "weights")
        if fields:
            found[name] = list(fields)
    return found


def _text(value: object) -> str:
    return "×".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _brief(value: object) -> str:
    text = _text(value)
    is_hash = len(text) >= 32 and all(letter in "0123456789abcdef" for letter in text)
    return text[:_SHORT] + "…" if is_hash else text
