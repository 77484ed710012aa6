"""Signals while a run goes on: a flag and a wake-up, so that no record is ever torn."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any


class Signals:
    """Within the block SIGINT and SIGTERM are counted, a second one leaves at once, and a hang-up is ignored.

    ``wake`` is a descriptor that becomes readable with each signal. After a hang-up, what would go to the dead terminal
    goes to ``console``, once that is set.
    """

    def __init__(self) -> None:
        self.count = 0
        self.wake, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.console = Path(os.devnull)
        self._before: dict[int, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Signals:
        for number, handler in (
            (signal.SIGINT, self._noticed),
            (signal.SIGTERM, self._noticed),
            (signal.SIGHUP, self._hung_up),
        ):
            self._before[number] = signal.signal(number, handler)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)
        os.close(self.wake)

    def _noticed(self, *_: object) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(130)  # the supervisor sees its pipe end, kills every process and cancels every job

    def _hung_up(self, *_: object) -> None:
        log = os.open(self.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for fd in (1, 2):
            if os.isatty(fd):
                os.dup2(log, fd)
        os.close(log)
