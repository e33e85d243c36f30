"""The report as one HTML file that needs nothing beside it."""

__all__ = ["page"]

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lit_gen import __version__
from lit_gen.commands.compare.figures import over_time, quality_over_coverage
from lit_gen.commands.compare.ranking import Group, Ranking
from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.tables import Table, protocol_table, ranking_table, settings_table

_CSS = """
:root { color-scheme: light dark; --ink: #1d2129; --paper: #fff; --line: #d5d9e0; --soft: #f4f5f8; --note: #7a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ec; --paper: #15181d; --line: #3a404a; --soft: #1e2229; --note: #f0c674; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
h1, h2, h3, p, li, figcaption { overflow-wrap: anywhere; }
.notes { border-left: .25rem solid var(--note); background: var(--soft); margin: 1rem 0; padding: .5rem 1rem; }
.notes p { margin: .25rem 0; }
.scroll { overflow-x: auto; max-width: 100%; border: 1px solid var(--line); border-radius: .375rem; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem .75rem; font-weight: 600; }
th, td { padding: .35rem .75rem; border-top: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { background: var(--soft); }
th:nth-child(2) { text-align: left; }
tbody th { text-align: left; font-weight: 600; white-space: normal; overflow-wrap: break-word; max-width: 22rem; }
.text td, .text th { text-align: left; }
.text td:nth-child(2):last-child { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
details { margin: 1rem 0; } summary { cursor: pointer; font-weight: 600; padding: .25rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
.grids { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; }
svg { display: block; width: 100%; height: auto; max-width: 44rem; }
svg text { font-family: system-ui, sans-serif !important; }
img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
figcaption, footer { font-size: .875rem; opacity: .85; }
"""


def page(title: str, ranking: Ranking, runs: Sequence[Run], notes: Sequence[str]) -> str:
    """Returns the document. Whatever comes from files is escaped; it loads nothing and runs no script.

    Arguments:
        title: The heading.
        ranking: The rankings.
        runs: The runs, with their settings and grids.
        notes: What must be said first.
    """
    numbers = range(1, len(ranking.groups) + 1)
    parts = [_group(group, ranking.by, number) for number, group in zip(numbers, ranking.groups, strict=True)]
    settings = settings_table(runs)
    if settings is not None:
        parts.append(f"<section><h2>{escape(settings.caption)}</h2>{_table(settings, text=True)}</section>")
    ranks = {score.run: row.rank for group in ranking.groups[::-1] for row in group.rows for score in row.scores}
    ordered = sorted(runs, key=lambda run: ranks.get(run.name, len(runs) + 1))
    grids = "".join(_grid(run, run.grid) for run in ordered if run.grid is not None)
    if grids:
        parts.append(f'<section><h2>Samples</h2><div class="grids">{grids}</div></section>')
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    aside = f'<div class="notes" role="note">{said}</div>' if said else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{aside}</header>\n<main>\n{chr(10).join(parts)}\n</main>\n"
        f"<footer><p>lit_gen {escape(__version__)}</p></footer>\n</body>\n</html>\n"
    )


def _group(group: Group, by: str, number: int) -> str:
    protocol = group.protocol
    heading = f"Protocol {number}: {protocol.get('data', '?')}, {protocol.get('split', '?')} split"
    ranking = _table(ranking_table(group, by, f"Ranked by {by}"))
    figures = [figure for figure in (over_time(group, by), *quality_over_coverage(group)) if figure is not None]
    drawn = "".join(f"<figure>{figure}</figure>" for figure in figures)
    details = _table(protocol_table(group, "How these scores came about"), text=True)
    return (
        f"<section><h2>{escape(heading)}</h2>{ranking}"
        + (f'<h3>Figures</h3><div class="figures">{drawn}</div>' if drawn else "")
        + f"<details open><summary>The protocol</summary>{details}</details></section>"
    )


def _table(table: Table, text: bool = False) -> str:
    """Returns a table that scrolls by itself where the screen is narrow; the keyboard can scroll it, too."""
    name = 0 if text else 1
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = []
    for row in table.rows:
        cells = [f"<td>{escape(cell)}</td>" for cell in row]
        heading = escape(row[name]).replace("/", "/<wbr>")  # where a long name may break
        cells[name] = f'<th scope="row">{heading}</th>'
        rows.append(f"<tr>{''.join(cells)}</tr>")
    caption = escape(table.caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table{" class=text" * text}>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _grid(run: Run, file: Path) -> str:
    try:
        content = base64.b64encode(file.read_bytes()).decode()
    except OSError:
        return ""
    step = file.stem.removeprefix("step_").lstrip("0") or "0"
    name = f"{run.name}, step {step}"
    return (
        f'<figure><img src="data:image/png;base64,{content}" alt="Grid of samples of {escape(name)}" loading="lazy">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )
