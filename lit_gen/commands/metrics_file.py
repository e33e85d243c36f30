"""``metrics.csv``: every logged row, on disk as soon as it is logged, and continued by a resumed run."""

__all__ = ["MetricsFile"]

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from lit_gen.functional.atomic import naming, replacing


class MetricsFile(Logger):
    """Creates a logger that writes ``metrics.csv``: a column per scalar and ``step``, a row per call.

    Lightning's CSVLogger deletes the file of a run that is resumed, and holds rows back; this one keeps the rows up to
    the checkpoint's step, drops later ones, which the resumed run writes again, and appends. A validation at that
    very step may be repeated: its rows are replaced.

    Arguments:
        folder: The run's folder.
        resumed_at: The step of the checkpoint that the run goes on from; None deletes what an earlier run left.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"
        self._resumed_at = resumed_at
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        return self.path.parent.parent.name

    @property
    def version(self) -> str:
        return self.path.parent.name

    @property
    def log_dir(self) -> str:
        return str(self.path.parent)

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run's config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": "" if step is None else step, **{name: float(value) for name, value in metrics.items()}}
        if self._columns is None:
            self._begin()
        assert self._columns is not None
        if not set(row) <= set(self._columns):
            rows = self._rows()
            self._columns += sorted(set(row) - set(self._columns))
            self._rewrite(rows)
        if step == self._resumed_at and self._repeat(row):
            return
        with naming(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _begin(self) -> None:
        rows = [] if self._resumed_at is None else [row for row in self._rows() if self._kept(row)]
        self._columns = list(rows[0]) if rows else ["step"]
        self._rewrite(rows)

    def _repeat(self, row: Mapping[str, Any]) -> bool:
        """Replaces the row of the same step with the same scalars; returns whether there is one."""
        rows = self._rows()
        for old in rows:
            if old["step"] == str(row["step"]) and {name for name, value in old.items() if value} == set(row):
                old.update({name: str(value) for name, value in row.items()})
                self._rewrite(rows)
                return True
        return False

    def _kept(self, row: Mapping[str, str]) -> bool:
        assert self._resumed_at is not None
        return row.get("step", "").isdecimal() and int(row["step"]) <= self._resumed_at

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = file.readlines()
        # The last row may be one that a killed process did not finish.
        return list(csv.DictReader(line for line in lines if line.endswith("\n")))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        assert self._columns is not None
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
