"""``lit-gen diagnose KIND``: looks inside a model or its training; each kind writes a figure and a table."""

__all__ = ["run"]

import importlib
from collections.abc import Sequence

from lit_gen.commands.diagnose.usage import KINDS
from lit_gen.errors import UserError, nearest


def run(arguments: Sequence[str]) -> int:
    """Runs one kind of diagnosis, the first of the arguments.

    Raises:
        UserError: If there is no such kind, or one of its arguments is wrong.
    """
    kind = arguments[0] if arguments else ""
    if not kind or kind.startswith("-"):
        raise UserError(f"diagnose needs a kind right after it: one of {', '.join(KINDS)}")
    if kind not in KINDS:
        hint = nearest(kind, KINDS) or f"; there are {', '.join(KINDS)}"
        raise UserError(f"there is no diagnosis '{kind}'{hint}")
    # Each is a file of its own; only the one that is asked for is read.
    status: int = importlib.import_module(f"lit_gen.commands.diagnose.{kind}").run(arguments[1:])
    return status
