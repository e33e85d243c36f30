"""Being told to stop: the signals of clusters and keyboards, kept until there is a good moment."""

__all__ = ["EXIT_PREEMPTED", "Preempted", "SignalWatch"]

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

EXIT_PREEMPTED = 75
"""The exit status of a fit that was told to stop and can be continued (EX_TEMPFAIL of sysexits.h)."""

_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")


class Preempted(BaseException):
    """Training was told to stop, and can be continued.

    Like KeyboardInterrupt no Exception: it may be raised anywhere, and nobody should take it for an error.

    Arguments:
        name: The signal's name.
        path: The checkpoint that was written, None if there was nothing to write.
    """

    def __init__(self, name: str, path: str | None = None) -> None:
        super().__init__(f"stopped by {name}" + (f"; go on from {path}" if path else ""))


class SignalWatch:
    """Creates a watch for SIGTERM, SIGUSR1 (SLURM's warning) and SIGINT (Ctrl-C); a context manager.

    While there is nothing to finish, the first signal raises `Preempted` at once. Once the watch is deferred, it is
    only remembered, and a Ctrl-C after it raises KeyboardInterrupt. Signals that the process was started to ignore
    (``nohup``) stay ignored. Outside the main thread, which alone gets signals, it does nothing.

    Arguments:
        deferred: Whether whoever made the watch looks at `received` from time to time.
    """

    def __init__(self, deferred: bool = False) -> None:
        self.deferred = deferred
        self.received = 0
        """The signal's number, 0 if none came."""
        self._before: dict[int, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> "SignalWatch":
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked worker; its parent tells it when to stop
            return
        again, self.received = self.received, number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        name = signal.Signals(number).name
        if not self.deferred:
            raise Preempted(name)
        if not again:
            # Not print: a handler may interrupt another one.
            with contextlib.suppress(OSError):
                os.write(2, f"lit-gen: {name}: finishing the batch, then writing a checkpoint\n".encode())
