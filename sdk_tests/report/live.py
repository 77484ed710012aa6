"""The live display on a terminal. Only this module imports rich, and it is imported only if the display is used."""

from __future__ import annotations

import errno
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sdk_tests.report.run_state import RunState
from sdk_tests.report.text import fit, one_line
from sdk_tests.report.view import counted

ROWS = 8
"""Active cases that have a line of their own; the others are counted."""

INTERVAL = 0.1
"""Seconds between two updates of the display, unless an update is forced."""

_STYLES = {"pass": "green", "fail": "bold red", "error": "bold red", "infra": "bold magenta", "xpass": "yellow"}


class _Terminal(Console):
    """A console that raises an error if its reader is gone; the one of rich would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "nobody reads the display")


class LiveDisplay:
    """A few lines that are redrawn in place, cut to the width and to the encoding of the terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._encoding = stream.encoding
        self._stream = stream
        self._console = _Terminal(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()
        # A killed run cannot show the cursor again, so the cursor is not hidden.
        self._console.show_cursor(True)
        self._drawn = 0.0

    def draw(self, state: RunState, now: float, *, force: bool) -> None:
        if not self._stream.isatty():
            raise OSError(errno.EIO, "the terminal is gone")
        if force or now - self._drawn >= INTERVAL:
            self._drawn = now
            self._live.update(Group(*self._lines(state, now)), refresh=True)

    def stop(self) -> None:
        self._live.stop()

    def _lines(self, state: RunState, now: float) -> list[Text]:
        lines = [self._line(line, "red") for line in state.failures]
        if state.note:
            lines.append(self._line(state.note, "yellow"))
        active = sorted(state.active.items(), key=lambda item: (item[1][0] != "running", item[1][1]))
        for case_id, (phase, since) in active[:ROWS]:
            lines.append(
                self._line(
                    f"{elapsed(now - since):>8}  {phase:<12} {one_line(case_id)}", "" if phase == "running" else "dim"
                )
            )
        if len(active) > ROWS:
            lines.append(self._line(f"{'':>8}  and {len(active) - ROWS} more active", "dim"))
        lines.append(self._bar(state, now))
        return lines

    def _bar(self, state: RunState, now: float) -> Text:
        width = 24
        full = width * min(state.done, state.total) // max(state.total, 1)
        bar = Text(
            "[" + "#" * full + "." * (width - full) + f"] {state.done}/{state.total}  {elapsed(now - state.started)}"
        )
        for outcome, number in state.counts().items():
            bar.append("  ")
            bar.append(counted(outcome, number), style=_STYLES.get(outcome, "dim"))
        bar.truncate(self._console.width - 1, overflow="crop")
        return bar

    def _line(self, text: str, style: str) -> Text:
        line = Text(fit(text, self._encoding), style=style, no_wrap=True)
        line.truncate(self._console.width - 1, overflow="crop")
        return line


def elapsed(seconds: float) -> str:
    """Write a duration as a clock does: ``7 s``, ``3:05``, ``1:02:03``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
