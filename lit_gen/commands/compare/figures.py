"""The figures of a report as inline SVG that takes its dark or light colour from the page."""

__all__ = ["over_time", "quality_over_coverage"]

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, cast

from lit_gen.callbacks.figures import new_figure
from lit_gen.commands.compare.metric_names import value_of
from lit_gen.commands.compare.ranking import Group, Row
from lit_gen.commands.compare.scores import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS = (("recall", "precision"), ("coverage", "density"))
_LONG = 38  # letters, of which the figure's width holds twice as many
_MARKERS = "osD^vPX*"
_WIDTH, _HEIGHT, _LEGEND_ROW = 5.6, 3.4, 0.19


def over_time(group: Group, by: str) -> str | None:
    """Returns the metric over the training images, or steps, of every run scored more than once; None if none was."""
    runs: dict[str, list[Score]] = {}
    for score in group.scores:
        if score.step is not None:
            runs.setdefault(score.run, []).append(score)
    lines = {name: sorted(scores, key=lambda score: score.step or 0) for name, scores in runs.items()}
    lines = {name: scores for name, scores in lines.items() if len({score.step for score in scores}) > 1}
    if not lines:
        return None
    from matplotlib.ticker import EngFormatter, MaxNLocator

    by_images = all(score.images_seen is not None for scores in lines.values() for score in scores)
    figure, axes = _figure(list(lines))
    for i, (name, scores) in enumerate(lines.items()):
        xs = [score.images_seen if by_images else score.step for score in scores]
        axes.plot(xs, [value_of(score.metrics, by) for score in scores], label=name, **_style(i, len(lines)))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("training images seen" if by_images else "training steps")
    axes.set_ylabel(by)
    axes.set_title("Over training")
    return _finished(figure, f"{by} over {axes.get_xlabel()}: {', '.join(lines)}")


def quality_over_coverage(group: Group) -> list[str]:
    """Returns quality over coverage of the ranked rows, for each pair of such metrics that a row has."""
    drawn = []
    for across, up in _PAIRS:
        rows = [row for row in group.rows if across in row.metrics and up in row.metrics]
        if rows:
            drawn.append(_points(rows, across, up))
    return drawn


def _points(rows: Sequence[Row], across: str, up: str) -> str:
    figure, axes = _figure([row.name for row in rows])
    for i, row in enumerate(rows):
        x, y = row.metrics[across], row.metrics[up]
        spreads = {"xerr": x.spread, "yerr": y.spread}
        style = {**_style(i, len(rows)), "linestyle": "none"}
        axes.errorbar(x.value, y.value, **spreads, label=f"{row.rank}  {row.name}", **style)
        axes.annotate(str(row.rank), (x.value, y.value), (4, 3), textcoords="offset points", fontsize=7)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title("Quality over coverage of the real images")
    axes.margins(0.08)
    return _finished(figure, f"{up} over {across} of {', '.join(row.name for row in rows)}")


def _figure(names: Sequence[str]) -> "tuple[Figure, Any]":
    rows = -(-len(names) // _columns(names))
    figure, (axes,) = new_figure(_WIDTH, _HEIGHT + _LEGEND_ROW * rows)
    return figure, axes


def _columns(names: Sequence[str]) -> int:
    """Returns how many names of a legend fit side by side."""
    return 1 if max(map(len, names)) > _LONG else 2


def _style(i: int, of: int) -> dict[str, Any]:
    from matplotlib import colormaps

    colours = cast(Any, colormaps["tab10" if of <= 10 else "tab20"]).colors
    return {"color": colours[i % len(colours)], "marker": _MARKERS[i % len(_MARKERS)], "markersize": 4}


def _finished(figure: "Figure", description: str) -> str:
    """Returns a figure as an ``svg`` element with a name for those who cannot see it; text stays text."""
    import matplotlib
    from matplotlib.text import Text

    columns = _columns(figure.axes[0].get_legend_handles_labels()[1])
    figure.legend(loc="outside lower left", ncols=columns, fontsize=8, frameon=False)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names of runs may hold dollar signs
    drawn = io.StringIO()
    salt: Any = {"svg.fonttype": "none", "svg.hashsalt": description}
    with matplotlib.rc_context(salt):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace("#000000", "currentColor").replace("<text ", '<text fill="currentColor" ')
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)
