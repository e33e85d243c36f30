"""Makes the scores that runs lack, all by one protocol: that of the options after ``--evaluate``."""

__all__ = ["with_scores"]

import contextlib
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lit_gen.commands import evaluate
from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.scores import read_scores
from lit_gen.errors import UserError


def with_scores(runs: Sequence[Run], arguments: Sequence[str]) -> list[Run]:
    """Returns the runs, those without scores, and checkpoint files, with new ones.

    A checkpoint that is named as a file is scored anew, so that all that are named so can be compared, whatever their
    runs measured; the scores of runs' folders and of JSON files stay as they are.

    Arguments:
        runs: The runs.
        arguments: Options of ``lit-gen evaluate``.

    Raises:
        UserError: If a run cannot be scored; it names it.
    """
    todo = [run for run in runs if not run.scores or run.path.suffix == ".ckpt"]
    with tempfile.TemporaryDirectory() as folder:
        scored = {}
        for i, run in enumerate(todo, 1):
            source = ("--samples", run.samples) if run.samples else ("--ckpt_path", run.checkpoint)
            if source[1] is None:
                raise UserError(f"'{run.path}' has neither scores nor a checkpoint to evaluate")
            print(f"evaluating {run.name} ({i} of {len(todo)})", flush=True)
            file = Path(folder) / f"{i}.json"
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    evaluate.run([*arguments, source[0], str(source[1]), "--output", str(file)])
            except UserError as error:
                raise UserError(f"'{run.path}' cannot be evaluated: {error}") from error
            scores = tuple(replace(score, source=str(run.path)) for score in read_scores(file, run.name))
            scored[run.path] = replace(run, scores=scores)
    return [scored.get(run.path, run) for run in runs]
