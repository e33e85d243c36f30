"""Tables that say something about images: CSV files, and text files in the form of CelebA's."""

__all__ = ["Table", "Where", "partners", "read_table"]

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from lit_gen.errors import UserError, nearest

Where: TypeAlias = Mapping[str, str | int | Sequence[str] | Sequence[int]]
"""Conditions by column: the value wanted, or a list of them."""


@dataclass(frozen=True)
class Table:
    """Creates a table whose rows each tell of one file.

    Arguments:
        path: Where it was read, for messages.
        columns: The names of the columns beside the file's.
        rows: Each file's values, in the order of `columns`.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    def column(self, name: str, key: str) -> dict[str, str]:
        """Returns one column's value for each file.

        Raises:
            UserError: If there is no such column; the message names the setting `key`.
        """
        if name not in self.columns:
            known = f"; it has {', '.join(self.columns[:12])}{', …' if len(self.columns) > 12 else ''}"
            raise UserError(
                f"{key} names the column '{name}', which {self.path} has not{nearest(name, self.columns) or known}"
            )
        place = self.columns.index(name)
        return {file: row[place] for file, row in self.rows.items()}

    def numbered(self, name: str, key: str) -> Tensor:
        """Returns the places of one column's values in their order, int64 [N]."""
        values = list(self.column(name, key).values())
        number = {value: place for place, value in enumerate(sorted(set(values)))}
        return torch.tensor([number[value] for value in values], dtype=torch.int64)

    def take(self, where: Where | None, key: str) -> "Table":
        """Returns the rows that fulfil every condition.

        Raises:
            UserError: If none does, or a value occurs nowhere.
        """
        rows = dict(self.rows)
        for name, wanted in (where or {}).items():
            values = self.column(name, key)
            known = sorted(set(values.values()))
            accepted = {str(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])}
            for value in sorted(accepted - set(known)):
                listed = f"; there are {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
                raise UserError(
                    f"{key}.{name} is '{value}', which {self.path} has nowhere{nearest(value, known) or listed}"
                )
            rows = {file: row for file, row in rows.items() if values[file] in accepted}
        if not rows:
            raise UserError(f"no file in {self.path} is what {key} wants: {dict(where or {})}")
        return Table(self.path, self.columns, rows)


def read_table(path: Path, key: str) -> Table:
    """Reads a CSV file with a header and the files' names in its first column, or a text file in CelebA's form.

    The latter (``list_attr_celeba.txt``) has the number of images in its first line, the attributes' names in its
    second, then for each image its name and the values, with spaces between them.

    Arguments:
        path: The file.
        key: The name of the setting that names it, for messages.

    Raises:
        UserError: If there is no such file, or it has another form; the message names the line.
    """
    if not path.is_file():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"there is no file {path}{nearest(path.name, siblings)}; set {key}")
    try:
        text = path.read_text("utf-8-sig")
        lines = _spaced(text) if path.suffix.lower() == ".txt" else list(csv.reader(text.splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a table ({error})") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if numbered and len(numbered[0][1]) == 1 and numbered[0][1][0].strip().isdigit():
        numbered = numbered[1:]
    if len(numbered) < 2:
        raise UserError(f"{path}: has no rows beneath a header")
    header, rows = numbered[0][1], dict[str, tuple[str, ...]]()
    columns = tuple(name.strip() for name in (header[1:] if len(header) == len(numbered[1][1]) else header))
    for number, line in numbered[1:]:
        file, *values = (value.strip() for value in line)
        if len(values) != len(columns):
            raise UserError(f"{path}, line {number}: has {len(values)} values for {len(columns)} columns")
        if file in rows:
            raise UserError(f"{path}, line {number}: {file} has a line already")
        rows[file] = tuple(values)
    return Table(path, columns, rows)


def _spaced(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def partners(
    table: Table, match: str, where_a: Where | None, where_b: Where | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs rows of one kind with those of another kind that have the same value in a column.

    Returns:
        The files of each pair, in the order of the values, and what is wrong: a line for each row without a partner.

    Raises:
        UserError: If a column or value is unknown.
    """
    sides, problems = list[dict[str, str]](), list[str]()
    for where, key in ((where_a, "--data.where_a"), (where_b, "--data.where_b")):
        files: dict[str, str] = {}
        for file, value in table.take(where, key).column(match, "--data.match").items():
            if value in files:
                problems.append(f"{file} has {match} '{value}' like {files[value]}, and {key} fits both")
            files[value] = file
        sides.append(files)
    a, b = sides
    for value in sorted(a.keys() ^ b.keys()):
        other = "--data.where_b" if value in a else "--data.where_a"
        problems.append(f"{a.get(value) or b.get(value)} has no partner: no row with {match} '{value}' fits {other}")
    return [(a[value], b[value]) for value in sorted(a.keys() & b.keys())], problems
