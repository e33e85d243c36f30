"""Processes that end together: when one dies, the others say which, and do not wait for it for ever."""

__all__ = ["SupervisingLauncher", "supervise"]

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from lightning_fabric.utilities.distributed import _set_num_threads_if_needed
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import ParallelStrategy, Strategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from lit_gen.errors import UserError

_LAUNCHER = "LIT_GEN_LAUNCHER"  # the environment variable that tells a process who started it
_INTERVAL = 0.5
_GRACE = 20.0


class SupervisingLauncher(_SubprocessScriptLauncher):
    """Creates the launcher of ``--trainer.devices N`` without torchrun or SLURM, whose processes watch each other.

    The first process starts the others. When one of these is killed, Lightning would kill the first without a word;
    when the first is killed, the others would wait in a collective operation until that times out (half an hour). Here
    the first process watches its children and they watch it; whoever notices a death names the dead and ends. A
    process that ended by itself with an error leaves the others 20 seconds to come to the same end: a wrong
    setting, or a preemption, stops all of them.
    """

    _ending = False  # the children may go, or are sent away

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        started_by_this_launcher = os.environ.get(_LAUNCHER) == str(os.getppid())
        if not environment.creates_processes_externally:
            self._call_children_scripts()
        elif started_by_this_launcher:
            _in_background(self._watch_launcher)
        _set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            return function(*args, **kwargs)
        except UserError:
            self.kill(signal.SIGKILL)  # the others would say the same, or wait for this process
            raise
        except RuntimeError:
            # A dead peer shows first as a failure of communication; who it was is known a moment later.
            time.sleep(2 * _INTERVAL)
            if started_by_this_launcher:
                self._end_if_launcher_died()
            if self._killed() and not self._ending:
                self._end()
            raise

    def kill(self, signum: int) -> None:
        self._ending = self._ending or signum == signal.SIGKILL
        super().kill(signum)  # type: ignore[arg-type]

    def _call_children_scripts(self) -> None:
        os.environ[_LAUNCHER] = str(os.getpid())
        super()._call_children_scripts()
        atexit.register(self._await_children)
        _in_background(self._watch_children)

    def _watch_children(self) -> None:
        while not self._ending:
            time.sleep(_INTERVAL)
            codes = [process.poll() for process in self.procs]
            if any(codes) and not self._ending:
                if not self._killed():
                    time.sleep(_GRACE)
                if not self._ending:
                    self._end()
            if all(code == 0 for code in codes):
                return

    def _killed(self) -> bool:
        return any((process.poll() or 0) < 0 for process in self.procs)

    def _end(self) -> NoReturn:
        ended = [(self._first_rank + i, process.pid, process.poll()) for i, process in enumerate(self.procs, start=1)]
        killed = [(rank, pid, code) for rank, pid, code in ended if code and code < 0]
        failed = killed or [(rank, pid, code) for rank, pid, code in ended if code]
        _say(f"{', '.join(_description(*one) for one in failed)}; ending the other processes")
        for process in self.procs:
            process.kill()
        _leave()

    def _await_children(self) -> None:
        """Lets the children end first: a launcher that is gone looks to them as if it had died."""
        self._ending = True
        deadline = time.monotonic() + _GRACE
        for i, process in enumerate(self.procs, start=1):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _say(f"rank {self._first_rank + i} had not ended {_GRACE:.0f} s after rank {self._first_rank}: killed")
                process.kill()

    def _watch_launcher(self) -> None:
        while True:
            self._end_if_launcher_died()
            time.sleep(_INTERVAL)

    def _end_if_launcher_died(self) -> None:
        if os.environ[_LAUNCHER] != str(os.getppid()):
            rank = self._first_rank + self.cluster_environment.local_rank()
            _say(f"rank {self._first_rank} (process {os.environ[_LAUNCHER]}) was killed; ending rank {rank}")
            _leave()

    @property
    def _first_rank(self) -> int:
        """The rank of this node's first process."""
        return self.cluster_environment.node_rank() * self.num_processes


def supervise(strategy: Strategy) -> None:
    """Gives a strategy that starts processes by Lightning's launcher the one that watches them; no other is changed."""
    if isinstance(strategy, ParallelStrategy) and type(strategy._launcher) is _SubprocessScriptLauncher:
        plain = strategy._launcher
        strategy._launcher = SupervisingLauncher(plain.cluster_environment, plain.num_processes, plain.num_nodes)


def _in_background(watch: Callable[[], None]) -> None:
    threading.Thread(target=watch, daemon=True, name=watch.__name__.strip("_")).start()


def _description(rank: int, pid: int, code: int) -> str:
    if code >= 0:
        return f"rank {rank} (process {pid}) ended with exit status {code}"
    name = signal.Signals(-code).name
    hint = ", as by a kernel that is out of memory" if name == "SIGKILL" else ""
    return f"rank {rank} (process {pid}) was killed by {name}{hint}"


def _say(message: str) -> None:
    print(f"lit-gen: {message}", file=sys.__stderr__, flush=True)


def _leave() -> NoReturn:
    """Ends this process at once; its main thread may be waiting for the dead one, and cannot be asked to."""
    sys.stdout.flush()
    os._exit(1)
