"""Single options, looked up before a parser that knows them all can be built."""

__all__ = ["flag_values", "flag_words"]

from collections.abc import Sequence


def flag_values(arguments: Sequence[str], *flags: str) -> list[tuple[int, str]]:
    """Lists the values of an option, ``--key value`` or ``--key=value``, each with the place it stands at.

    Arguments:
        arguments: The arguments of a command.
        flags: The option's names.
    """
    values = []
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in flags and equals:
            values.append((i, value))
        elif argument in flags and i + 1 < len(arguments):
            values.append((i + 1, arguments[i + 1]))
    return values


def flag_words(arguments: Sequence[str], flag: str) -> list[str]:
    """Lists all words after an option that takes several, ``--key one two``."""
    words: list[str] = []
    for i, _ in flag_values(arguments, flag):
        for word in arguments[i:]:
            if word.startswith("--") and "=" not in word:
                break
            words.append(word.removeprefix(f"{flag}="))
    return words
