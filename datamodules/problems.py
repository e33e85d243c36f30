"""What is wrong with a user's files, said in one message."""

__all__ = ["raise_problems"]

from collections.abc import Sequence

from lit_gen.errors import UserError

_LISTED = 10


def raise_problems(problems: Sequence[str], where: object) -> None:
    """Raises an error that lists the first problems and counts the others; does nothing if there are none.

    Arguments:
        problems: One line for each file, which names it.
        where: The folder that they lie in.

    Raises:
        UserError: If there are any.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise UserError(problems[0])
    rest = len(problems) - _LISTED
    listed = "; ".join(problems[:_LISTED]) + (f"; and {rest} more" if rest > 0 else "")
    raise UserError(f"{len(problems)} files in {where} cannot be used: {listed}")
