"""``lit-gen diagnose collapse``: how diverse a run's samples were, over its steps.

A generator may please the discriminator with a few images, drawn again and again; when the discriminator has learnt to
reject them, it moves on to others. Losses hardly tell; the spread of samples and of their classes does.
"""

__all__ = ["run"]

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.checkpointed import parse
from lit_gen.commands.diagnose.options import output_folder, write_table
from lit_gen.commands.runs import find_checkpoint, run_folder_of
from lit_gen.errors import UserError

_PREFIX = "diversity/"
_PANELS = {
    "distance between samples,\nover that of real images": ("features", "pixels"),
    "classes of samples, in nats": ("label_entropy", "label_divergence"),
    "classes found": ("classes_found",),
}


def run(arguments: Sequence[str]) -> int:
    """Writes ``collapse.png`` and ``collapse.csv`` from a run's ``metrics.csv``.

    Raises:
        UserError: If an argument is wrong, or the run has not been watched.
    """
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description="Plot a run's diversity.")
    parser.add_argument("--ckpt_path", type=str | None, help="last, best, a run's folder or a checkpoint file")
    parser.add_argument("--runs", type=str, default="runs", help="the folder that all runs lie in")
    parser.add_argument("--output", type=str | None, help="the folder that figure and table are written to")
    parser.add_argument("--help_full", action="help", help="list every option")
    options = parse(parser, arguments)
    folder = output_folder(options)
    if not options.ckpt_path:
        raise UserError("--ckpt_path is missing: give last, best, a run's folder or a checkpoint file")
    checkpoint = find_checkpoint(options.ckpt_path, Path(options.runs).expanduser())
    lines = _watched(checkpoint)
    names = [name for panel in _PANELS.values() for name in panel if f"{_PREFIX}{name}" in lines[0]]
    rows = [{"step": int(line["step"]), **{name: float(line[f"{_PREFIX}{name}"]) for name in names}} for line in lines]
    _draw(rows, names, folder)
    write_table(rows, folder / "collapse.csv")
    least = min(rows, key=lambda row: row["features"])
    print(f"least diverse at step {least['step']}: {least['features']:.3g} of real images, by features")
    print(f"figure and table: {folder}/collapse.*")
    return 0


def _watched(checkpoint: Path) -> list[dict[str, str]]:
    """Returns the lines of a run's metrics.csv that tell of diversity."""
    run_folder = run_folder_of(checkpoint)
    file = None if run_folder is None else run_folder / "metrics.csv"
    if file is None or not file.is_file():
        raise UserError(f"'{checkpoint}' lies in no run's folder with a metrics.csv, which diagnose collapse reads")
    with file.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.DictReader(stream) if line.get(f"{_PREFIX}features")]
    if not lines:
        raise UserError(
            f"{file} tells nothing of diversity: train with the callback Diversity (--trainer.callbacks+=Diversity)"
        )
    return lines


def _draw(rows: Sequence[Mapping[str, float]], names: Sequence[str], folder: Path) -> None:
    panels = {title: [name for name in panel if name in names] for title, panel in _PANELS.items()}
    panels = {title: panel for title, panel in panels.items() if panel}
    figure, axes = new_figure(3.4 * len(panels), 3.0, len(panels))
    steps = [row["step"] for row in rows]
    for one, (title, panel) in zip(axes, panels.items(), strict=True):
        for name in panel:
            one.plot(steps, [row[name] for row in rows], marker=".", label=name.replace("label_", "label "))
        one.set(title=title, xlabel="step")
        one.set_ylim(bottom=0)
        if len(panel) > 1:
            one.legend()
    axes[0].axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    save_figure(figure, folder / "collapse.png")
