"""The state of signals that a process inherits and hands on to its children."""

from __future__ import annotations

import signal
import threading

KEPT = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that ``nohup`` and a shell ignore for background jobs, and those that Python ignores itself."""


def restore_signals() -> None:
    """Undo what this process inherited: no signal is blocked, and only those of ``KEPT`` may be ignored.

    Whoever starts programs with SIGCHLD ignored, or SIGTERM blocked, hands that on to all of their children, which then
    cannot wait for their own children, or are never asked to end.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in signal.valid_signals() - set(KEPT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
