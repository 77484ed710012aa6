"""A progress bar for set-up that takes longer than a moment: on a terminal only, one line that is redrawn in place."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 24
"""Characters of the bar."""


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
