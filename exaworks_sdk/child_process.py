"""Child processes that end with the block that uses them, also if a signal arrives while they are being started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

GRACE = 60.0
"""Seconds that a child has to end; it is then killed."""
_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def running(
    argv: Sequence[str], *, ended_by: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a program in its own session; if the block raises, end its process group by the signal ``ended_by``.

    options: those of ``subprocess.Popen``. The block waits for the program itself.

    Raises:
        OSError: the program cannot be started.
    """
    process: subprocess.Popen[Any] | None = None
    try:
        with _signals_held():  # a handler that raises within Popen would leave a process that nobody knows
            process = subprocess.Popen(list(argv), start_new_session=True, **options)
        yield process
    except BaseException:
        if process is not None:
            _end(process, ended_by)
        raise
    finally:
        if process is not None and process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[Any], ended_by: signal.Signals) -> None:
    for number, patience in ((ended_by, GRACE), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let Python's handlers of SIGINT, SIGTERM and SIGHUP run after the block. Only the main thread has handlers."""
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _HELD:
            if callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda each, _: received.append(each))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for each in received:
            signal.raise_signal(each)
