"""Signal handling during a run: handlers only set a flag and wake the loop, so that every record is written whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any


class Signals:
    """Context manager that counts SIGINT and SIGTERM, exits at once at the second one, and ignores a hang-up.

    wake: a file descriptor that becomes readable with each signal. console: the file that gets the output after a
    hang-up, because the terminal is gone; set it when the folder of the run exists.
    """

    def __init__(self) -> None:
        self.count = 0
        self.wake, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.console = Path(os.devnull)
        self._previous_handlers: dict[int, Any] = {}
        self._previous_wakeup = -1

    def __enter__(self) -> Signals:
        for number, handler in (
            (signal.SIGINT, self._count),
            (signal.SIGTERM, self._count),
            (signal.SIGHUP, self._redirect_output),
        ):
            self._previous_handlers[number] = signal.signal(number, handler)
        self._previous_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._previous_wakeup)
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        os.close(self._write)
        os.close(self.wake)

    def _count(self, *_: object) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(130)  # the supervisor notices the closed pipe, kills every process and cancels every job

    def _redirect_output(self, *_: object) -> None:
        log = os.open(self.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for fd in (1, 2):
            if os.isatty(fd):
                os.dup2(log, fd)
        os.close(log)
