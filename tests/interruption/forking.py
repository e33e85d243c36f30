"""Starts ``lit-gen`` in processes of its own without importing torch anew in each: run as a script, it forks them."""

__all__ = ["Forks", "Process"]

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Forks:
    """A process that has imported everything, and begins others."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: object, **environment: object) -> "Process":
        """Begins ``lit-gen`` with these arguments in the present folder, in a session of its own."""
        log = Path.cwd() / f"log{environment.get('RANK', '')}"
        log.write_text("")  # a signal may come before the process writes to it
        given = {name: str(value) for name, value in environment.items()}
        order = {"arguments": [str(argument) for argument in arguments], "environment": given, "log": str(log)}
        return Process(self._ask({**order, "folder": str(Path.cwd())}), log, self)

    def wait(self, process: int) -> int:
        """Returns the exit status, negative if a signal ended the process."""
        return self._ask({"wait": process})

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)

    def _ask(self, order: Mapping[str, Any]) -> int:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


@dataclass
class Process:
    """One that was begun."""

    pid: int
    log: Path
    forks: Forks

    def send(self, number: int, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self) -> int:
        return self.forks.wait(self.pid)

    def runs(self) -> bool:
        # What has ended is kept for `wait` to ask about.
        state = Path(f"/proc/{self.pid}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"

    def wait_for(self, path: Path) -> None:
        self._wait_until(path.exists)

    def wait_until_said(self, words: str) -> None:
        self._wait_until(lambda: words in self.said)

    def _wait_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 200
        while not true():
            assert self.runs() and time.monotonic() < deadline, self.said
            time.sleep(0.02)

    @property
    def said(self) -> str:
        return self.log.read_text()


def _serve() -> None:
    import sklearn.datasets  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    import lit_gen.cli  # noqa: F401
    from lit_gen.__main__ import main
    from lit_gen.commands.classes import import_all

    import_all()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                os.setsid()
                os.chdir(order["folder"])
                log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.environ.update(order["environment"])
                rank_zero_only.rank = int(os.environ.get("RANK", 0))
                signal.signal(signal.SIGINT, signal.default_int_handler)
                status = main(order["arguments"])
                # Only what an interpreter does in the end for others: to take all of torch apart takes two seconds.
                atexit._run_exitfuncs()
                sys.stdout.flush()
                os._exit(status)
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    _serve()
