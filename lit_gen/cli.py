"""The commands of ``lit-gen`` by name; importing this imports torch and Lightning."""

__all__ = ["run"]

import os
import sys
from collections.abc import Sequence

from lit_gen.commands import compare, diagnose, evaluate, lightning, sample, translate
from lit_gen.commands.quiet import quieten


def run(command: str, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit status.

    Arguments:
        command: A name of `lit_gen.commands.usage.COMMANDS`.
        arguments: What stands after it.

    Raises:
        UserError: If the arguments, or what they name, are wrong.
    """
    quieten()
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where a user's own classes lie; last, so that it hides nothing
    if command == "sample":
        return sample.run(arguments)
    if command == "translate":
        return translate.run(arguments)
    if command == "evaluate":
        return evaluate.run(arguments)
    if command == "compare":
        return compare.run(arguments)
    if command == "diagnose":
        return diagnose.run(arguments)
    return lightning.run(command, arguments)
