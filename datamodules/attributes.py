"""From columns of values to attributes that are there or not."""

__all__ = ["Attributes", "attributes_of"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.errors import UserError

_YES, _NO = {"1", "true", "yes"}, {"0", "-1", "false", "no"}


@dataclass(frozen=True)
class Attributes:
    """What each of N images has of A attributes."""

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    """Places in `names`: one for what is there or not, several where exactly one of them is there."""
    values: Tensor
    """float32 [N, A] in {0, 1}."""


def attributes_of(columns: Mapping[str, Sequence[str]], where: str, chosen: bool = True) -> Attributes:
    """Makes one attribute of a column of yes and no, and one for each value of any other column.

    Arguments:
        columns: The images' values by column.
        where: What the columns are of, for messages.
        chosen: Whether the user named the columns; those with one value for all images are left out if not, and an
            error if so.

    Raises:
        UserError: If nothing can be told from a column.
    """
    names, groups, values = list[str](), list[tuple[int, ...]](), list[Tensor]()
    for column, row in columns.items():
        present = sorted(set(row))
        if len(present) < 2:
            if not chosen:
                continue
            raise UserError(f"the attribute '{column}' is '{present[0]}' for every image of {where}; leave it out")
        if "" in present:
            raise UserError(f"the attribute '{column}' is empty for {row.count('')} images of {where}")
        answers = [value.lower() for value in row]
        wanted: dict[str, list[bool]]
        if set(answers) <= _YES | _NO:
            wanted = {column: [answer in _YES for answer in answers]}
        else:
            wanted = {f"{column}={value}": [other == value for other in row] for value in present}
        groups.append(tuple(range(len(names), len(names) + len(wanted))))
        names += wanted
        values += [torch.tensor(has, dtype=torch.float32) for has in wanted.values()]
    if not names:
        raise UserError(f"no column of {where} has two values, of which attributes could be made")
    return Attributes(tuple(names), tuple(groups), torch.stack(values, dim=1))
