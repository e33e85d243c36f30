"""The one error type whose message is meant for the user's eyes."""

__all__ = ["UserError", "first_line", "nearest"]

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user wrote, named or stored is wrong.

    The message is one line that names the file, key or value and says what would be right. The command line prints it
    without a traceback and exits with code 2; every other exception is a defect of ours and keeps its traceback.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a hint such as ``"; did you mean 'FashionMNIST'?"``, or an empty string when nothing is close.

    Arguments:
        name: What the user wrote.
        known: What would have been right.
    """
    candidates = {candidate.lower(): candidate for candidate in known}
    match = difflib.get_close_matches(name.lower(), candidates, n=1, cutoff=0.5)
    return f"; did you mean '{candidates[match[0]]}'?" if match else ""


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its kind if it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
