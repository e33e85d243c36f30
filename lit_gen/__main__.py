"""``python -m lit_gen`` and ``lit-gen``: answers what needs no torch at once, hands on the rest, reports errors."""

__all__ = ["main"]

import errno
import sys
from collections.abc import Sequence

from lit_gen import __version__
from lit_gen.commands.diagnose.usage import diagnose_usage
from lit_gen.commands.usage import COMMANDS, overview, usage
from lit_gen.errors import UserError, nearest


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Arguments:
        argv: The arguments after the program's name; those of the process by default.

    Returns:
        The exit status: 0 when all went well, 2 after an error of the user's, which is one line on stderr, 130 after an
        interruption from the keyboard. Any other exception is a defect and keeps its traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except UserError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as request:
        if isinstance(request.__context__, KeyboardInterrupt):  # Lightning has shut the run down
            return _interrupted()
        # The parsers' own --print_config and the like.
        return request.code if isinstance(request.code, int) else 0 if request.code is None else _fail(request.code)
    except OSError as error:
        if error.errno == errno.EPIPE:  # `lit-gen … | head` has read enough
            sys.stdout = None  # type: ignore[assignment]  # nothing more can be said, not even by the interpreter
            return 0
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail(f"the disk is full: {error}; free some space, or write elsewhere with --runs or --output")
        if error.filename is None or error.strerror is None:
            raise
        return _fail(f"'{error.filename}' cannot be used: {error.strerror}")
    except Exception as error:
        # torch.OutOfMemoryError, without importing torch; on the CPU torch says it by a RuntimeError.
        if type(error).__name__ != "OutOfMemoryError" and "can't allocate memory" not in str(error):
            raise
        return _fail(f"out of memory: {error}; try a smaller --data.batch_size (or --batch_size)")


def _run(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command in ("--help", "-h", "help"):
        print(_usage(arguments[1:]) if arguments[1:] and arguments[1] in COMMANDS else overview())
        return 0
    if command in ("--version", "-V"):
        print(f"lit-gen {__version__}")
        return 0
    if command not in COMMANDS:
        raise UserError(f"there is no command '{command}'{nearest(command, COMMANDS)} There are {', '.join(COMMANDS)}")
    if "--help" in arguments or "-h" in arguments:
        print(_usage(arguments))
        return 0
    from lit_gen.cli import run

    return run(command, arguments[1:])


def _usage(arguments: list[str]) -> str:
    return diagnose_usage(arguments[1:]) if arguments[0] == "diagnose" else usage(arguments[0])


def _interrupted() -> int:
    print("lit-gen: interrupted", file=sys.stderr)
    return 130


def _fail(message: str) -> int:
    print(f"lit-gen: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
