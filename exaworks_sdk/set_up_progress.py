"""A progress bar for set-up that takes longer than a moment: on a terminal only, one line that is redrawn in place."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

WIDTH = 24
"""Characters of the bar."""

REDRAW = 0.5
"""Seconds between two drawings while nothing is reported."""


class Bar:
    """One line: a bar, what is being done, and the time so far. Nothing is written where nobody watches."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._done = 0.0
        self._drawn = False
        self.enabled = _is_terminal(self._stream)

    def show(self, done: float, what: str) -> None:
        """Draw the bar. done: the share that is finished, between 0 and 1; it never goes back."""
        self._done = max(self._done, min(done, 1.0))
        if not self.enabled:
            return
        full = int(WIDTH * self._done)
        seconds = int(self._clock() - self._started)
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {self._done:4.0%}  {seconds // 60}:{seconds % 60:02d}  {what}"
        self._write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self._drawn = True

    @contextmanager
    def busy(self, done: float, what: str) -> Iterator[None]:
        """Redraw the bar, with the time so far, while something runs that reports nothing; remove it at the end."""
        finished = threading.Event()

        def redraw() -> None:
            while not finished.wait(REDRAW):
                self.show(done, what)

        self.show(done, what)
        thread = threading.Thread(target=redraw, daemon=True)
        if self.enabled:
            thread.start()
        try:
            yield
        finally:
            finished.set()
            if thread.ident is not None:
                thread.join()
            self.clear()

    def above(self, echo: Callable[[str], None]) -> Callable[[str], None]:
        """Return a function that prints lines above the bar."""

        def print_line(line: str) -> None:
            self.clear()
            echo(line)

        return print_line

    def clear(self) -> None:
        """Remove the line, so that other output starts on an empty one."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            self.enabled = False


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    except (AttributeError, ValueError):
        return False
