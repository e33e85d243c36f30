"""A comparison on a terminal, as Markdown, and as comma-separated values."""

__all__ = ["csv_text", "markdown", "show"]

import csv
import io
import sys
from collections.abc import Sequence

from lit_gen.commands.compare.metric_names import value_of
from lit_gen.commands.compare.ranking import Ranking
from lit_gen.commands.compare.tables import Table

_WIDE = 240


def show(tables: Sequence[Table], notes: Sequence[str]) -> None:
    """Prints tables and sentences; into a file or a pipe they are not cut to the width of any screen."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    for table in tables:
        drawn = RichTable(title=Text(table.caption), title_justify="left", box=box.SIMPLE, pad_edge=False)
        for i, name in enumerate(table.header):
            drawn.add_column(Text(name), justify="left" if i == 1 else "right", no_wrap=i != 1, overflow="fold")
        for row in table.rows:
            drawn.add_row(*map(Text, row))  # as it is: names of runs may look like rich's markup
        console.print(drawn)
    for note in notes:
        console.print(Text(note), soft_wrap=True)


def markdown(title: str, tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Returns a document of tables and sentences; pictures are the HTML report's."""
    parts = [f"# {_escaped(title)}", *(_escaped(note) for note in notes)]
    for table in tables:
        lines = [f"## {_escaped(table.caption)}", "", _line(table.header), _line(["---"] * len(table.header))]
        parts.append("\n".join([*lines, *map(_line, table.rows)]))
    return "\n\n".join(parts) + "\n"


def csv_text(ranking: Ranking) -> str:
    """Returns every score that is known, a row per checkpoint; ``protocol`` is the hash that its file states.

    ``group`` numbers the rankings, empty where the metric or the protocol is missing; ``rank`` is empty for checkpoints
    that were not chosen to be ranked.
    """
    groups = [*((str(i), group.scores) for i, group in enumerate(ranking.groups, 1)), ("", ranking.without)]
    ranks = {
        (str(i), id(score)): row.rank
        for i, group in enumerate(ranking.groups, 1)
        for row in group.rows
        for score in row.scores
    }
    metrics = list(dict.fromkeys(name for _, scores in groups for score in scores for name in score.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ("group", "rank", "run", "step", "images_seen", "weights", "sampling", "split", "num_samples", "protocol")
    writer.writerow([*head, *metrics, "file"])
    for number, scores in groups:
        for score in sorted(scores, key=lambda score: (value_of(score.metrics, ranking.by) is None, score.run)):
            protocol = score.protocol
            cells = [score.step, score.images_seen, *(protocol.get(key) for key in head[5:9])]
            place = ranks.get((number, id(score)))
            writer.writerow(
                [number, place, score.run, *cells, protocol.get("hash"), *map(score.metrics.get, metrics), score.source]
            )
    return text.getvalue()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) if cell != '---' else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
