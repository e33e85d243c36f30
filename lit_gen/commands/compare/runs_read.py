"""What a RUN of ``lit-gen compare`` means: a run's folder, a folder of runs, a checkpoint, scores, or samples."""

__all__ = ["Run", "read_runs"]

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lit_gen.commands.compare.scores import Score, read_scores
from lit_gen.commands.compare.settings import read_settings
from lit_gen.commands.given_array import ARRAY_SUFFIXES
from lit_gen.commands.runs import run_folder_of
from lit_gen.datamodules.folder_scan import SUFFIXES
from lit_gen.errors import UserError, nearest

_DEEPEST = 4


@dataclass(frozen=True)
class Run:
    """One line of training, or one set of images.

    Attributes:
        name: What it is called in tables.
        path: What was named.
        scores: What is known of it, by step.
        settings: Its configuration, flat; empty where there is none.
        grid: Its last grid of samples.
        checkpoint: What can be scored if nothing is: a checkpoint, or a run's folder.
        samples: What can be scored if nothing is: images.
    """

    name: str
    path: Path
    scores: tuple[Score, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    grid: Path | None = None
    checkpoint: Path | None = None
    samples: Path | None = None

    def named(self, name: str) -> "Run":
        """Returns the same under another name."""
        return replace(self, name=name, scores=tuple(replace(score, run=name) for score in self.scores))


def read_runs(wanted: Sequence[str]) -> list[Run]:
    """Reads everything that was named, each once, under names that differ.

    Raises:
        UserError: If something does not exist, or is nothing that has or could have scores.
    """
    runs = {run.path.absolute(): run for name in wanted for run in _read(name)}
    short = [run.name for run in runs.values()]
    return [run.named(str(run.path)) if short.count(run.name) > 1 else run for run in runs.values()]


def _read(name: str) -> list[Run]:
    path = Path(name).expanduser()
    if path.is_dir():
        found = [_run(folder) for folder in _run_folders(path)]
        if found:
            return found
        files = sorted(path.glob("*.json"))
        if files:
            return [_scores(file) for file in files]
        if any(Path(file).suffix.lower() in SUFFIXES for _, _, files in os.walk(path) for file in files):
            return [Run(path.name, path, samples=path)]
        raise UserError(f"the folder '{name}' holds no run, no scores and no images")
    if not path.is_file():
        beside = [str(file) for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(
            f"there is no '{name}'{nearest(str(path), beside) or '; give a run folder, checkpoint or JSON'}"
        )
    if path.suffix == ".json":
        return [_scores(path)]
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return [Run(path.name, path, samples=path)]
    if path.suffix == ".ckpt":
        return [_checkpoint(path)]
    raise UserError(
        f"'{name}' is neither a run's folder, a checkpoint (.ckpt), scores (.json) nor samples (.npz, .npy)"
    )


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.yaml", "evaluation", "scores.json", "checkpoints"))


def _run_folders(top: Path, depth: int = 0) -> Iterator[Path]:
    """Yields the folders of runs at or below a folder, by name; what lies within a run is its own."""
    if _is_run(top):
        yield top
    elif depth < _DEEPEST:
        for folder in sorted(entry for entry in top.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
            yield from _run_folders(folder, depth + 1)


def _label(folder: Path) -> str:
    folder = folder.absolute()
    return f"{folder.parent.name}/{folder.name}" if folder.name.startswith("version_") else folder.name


def _run(folder: Path) -> Run:
    name, seen = _label(folder), _images_seen(folder / "metrics.csv")
    files = [*sorted((folder / "evaluation").glob("*.json")), folder / "scores.json"]
    scores = [score for file in files if file.is_file() for score in read_scores(file, name, seen)]
    has_weights = (folder / "checkpoints" / "last.ckpt").is_file()
    return Run(
        name,
        folder,
        tuple(sorted(scores, key=lambda score: (score.step is None, score.step or 0))),
        read_settings(folder / "config.yaml"),
        max((folder / "samples").glob("step_*.png"), default=None),
        folder if has_weights else None,
    )


def _scores(file: Path) -> Run:
    parent = file.absolute().parent
    above = parent.parent if parent.name == "evaluation" else parent
    around = _run(above) if _is_run(above) and (above / "config.yaml").is_file() else None
    name = f"{_label(above)}/{file.stem}" if around else file.stem
    scores = read_scores(file, name, _images_seen(above / "metrics.csv") if around else None)
    return Run(name, file, scores, around.settings if around else {}, around.grid if around else None)


def _checkpoint(file: Path) -> Run:
    """Reads the scores that the run of a checkpoint wrote at the checkpoint's step."""
    folder = run_folder_of(file)
    if folder is None:
        return Run(file.stem, file, checkpoint=file)
    from lit_gen.training.loading import read_checkpoint

    step, around = read_checkpoint(file).get("global_step"), _run(folder)
    name = f"{around.name}/{file.stem}"
    scores = tuple(score for score in around.scores if score.step is not None and score.step == step)
    return replace(around, path=file, scores=scores, checkpoint=file).named(name)


def _images_seen(file: Path) -> dict[int, int]:
    """Reads how many training images had been seen at each step; nothing from a file that is missing or no such."""
    seen: dict[int, int] = {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row.get("step") and row.get("images_seen"):
                    seen[int(row["step"])] = int(float(row["images_seen"]))
    except (OSError, ValueError, csv.Error):
        return {}
    return seen
