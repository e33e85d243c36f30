"""``lit-gen compare``: ranks runs, checkpoints and samples by their scores, those of like protocols only."""

__all__ = ["run"]

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from lit_gen.commands.checkpointed import parse
from lit_gen.commands.compare.page import page
from lit_gen.commands.compare.plain import csv_text, markdown, show
from lit_gen.commands.compare.ranking import rank
from lit_gen.commands.compare.runs_read import read_runs
from lit_gen.commands.compare.scoring import with_scores
from lit_gen.commands.compare.seeds import seed_groups
from lit_gen.commands.compare.tables import protocol_table, ranking_table, settings_table, statements
from lit_gen.commands.output import check_output
from lit_gen.errors import UserError
from lit_gen.functional.atomic import replacing

_SEPARATOR = "--evaluate"
_FORMATS = (".html", ".md", ".csv")


def run(arguments: Sequence[str]) -> int:
    """Runs the command: rankings on the screen and, if asked for, a report in a file.

    Raises:
        UserError: If an argument, or what it names, is wrong.
    """
    own, separator, evaluation = _split(arguments)
    options = parse(_parser(), own)
    output = Path(options.output).expanduser() if options.output else None
    if output:
        if output.suffix not in _FORMATS:
            raise UserError(f"--output is {output}: reports are written as {', '.join(_FORMATS)}")
        check_output(output, folder=False)
    runs = read_runs(options.run)
    if separator:
        runs = with_scores(runs, evaluation)
    alike = seed_groups(runs) if options.group == "seed" else {}
    ranking = rank([score for one in runs for score in one.scores], options.by, options.which, alike)
    notes = statements(ranking, runs)
    groups = list(enumerate(ranking.groups, 1))
    rankings = [ranking_table(group, ranking.by, f"Protocol {i}, ranked by {ranking.by}") for i, group in groups]
    show(rankings, notes)
    if output:
        title = f"{len(runs)} runs by {ranking.by}" if len(runs) > 1 else f"{runs[0].name} by {ranking.by}"
        if output.suffix == ".html":
            text = page(title, ranking, runs, notes)
        elif output.suffix == ".csv":
            text = csv_text(ranking)
        else:
            settings = settings_table(runs)
            protocols = [protocol_table(group, f"How the scores of protocol {i} came about") for i, group in groups]
            text = markdown(title, [*rankings, *protocols, *([settings] if settings else [])], notes)
        with replacing(output) as temporary:
            temporary.write_text(text, "utf-8")
        print(f"report: {output}")
    return 0


def _split(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Returns the arguments before ``--evaluate``, whether it is there, and those after it."""
    if _SEPARATOR not in arguments:
        return list(arguments), False, []
    at = list(arguments).index(_SEPARATOR)
    return list(arguments[:at]), True, list(arguments[at + 1 :])


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description="Rank runs by their scores.")
    parser.add_argument("run", type=str, nargs="+", help="run folders, folders of runs, checkpoints, JSON, samples")
    parser.add_argument("--by", type=str | None, help="the metric to rank by")
    parser.add_argument("--which", type=Literal["best", "last", "all"], default="best", help="a run's checkpoint")
    parser.add_argument("--group", type=Literal["seed", "none"], default="seed", help="what makes one row")
    parser.add_argument("--output", type=str | None, help="the .html, .md or .csv to write")
    return parser
