"""Live progress of a run: a display on a terminal, otherwise one line per record.

Nothing here may stop a run. If the stream is closed, its terminal has disappeared or it cannot take a character, the
progress is silently given up and the run continues.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from dashboard_client.schema import Manifest, Outcome, Record
from sdk_tests.report.run_state import PHASES, RunState
from sdk_tests.report.stream import write_safely
from sdk_tests.report.text import fit, one_line
from sdk_tests.report.view import LABELS, cases, place

if TYPE_CHECKING:
    from sdk_tests.report.live import LiveDisplay

HEARTBEAT = 30.0
"""Seconds without output after which plain progress prints a line; CI systems stop jobs that are silent for long."""

_QUIET = (Outcome.PASS, Outcome.SKIP, Outcome.XFAIL)


class Progress:
    """Reports the progress of a run on a stream.

    plain: print lines even on a terminal; a stream without cursor control always gets lines.
    clock: a monotonic clock in seconds; ``tick`` takes times of the same clock.
    """

    def __init__(
        self, stream: TextIO | None, *, plain: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._dead = stream is None
        self._state = RunState(started=clock())
        self._last_output = clock()
        self._finished = False
        self._display: LiveDisplay | None = None
        self._plain = bool(plain) or not _can_display(stream)

    def planned(self, manifest: Manifest, judgements: int) -> None:
        """Report the plan; ``judgements`` is the number of cases that have a verdict already and are not run."""
        self._state.total = len(manifest.planned)
        self._report(
            f"run {manifest.run_id} on {place(manifest)}: {cases(len(manifest.planned))} planned, "
            f"{judgements} decided without a run, {len(manifest.planned) - judgements} to run"
        )

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        """Handle an event of a case: submitted, queued, started, finished, retry, relaunch; or a note of any kind."""
        now = self._clock()
        if what in PHASES:
            self._state.active[case_id] = (PHASES[what], now)
        if what in ("retry", "relaunch", "note"):
            text = one_line(" ".join(part for part in ("" if what == "note" else what, case_id, detail) if part))
            self._state.note = text
            self._report(text)
        else:
            self._refresh(now)

    def recorded(self, record: Record, done: int, total: int) -> None:
        """Count a record; if it is not final, its case stays unfinished."""
        state, outcome = self._state, record.verdict.outcome
        state.done, state.total = done, total
        state.active.pop(record.case_id, None)
        line = f"{LABELS[outcome.value]:<5} {_record_text(record)}"
        if record.retries.final:
            state.outcomes[record.case_id] = outcome.value
            if outcome not in _QUIET:
                state.failures.append(line)
        else:
            line += " (not final)"
        self._report(f"[{done:>{len(str(total))}}/{total}] {line}")

    def tick(self, now: float | None = None) -> None:
        """Redraw the display, or print a line after a long silence while cases are unfinished; called once a second."""
        now = self._clock() if now is None else now
        if not self._plain:
            self._refresh(now, force=True)
        elif now - self._last_output >= HEARTBEAT and (self._state.active or self._state.done < self._state.total):
            self._report(self._heartbeat(now), now)

    def finish(self) -> None:
        """Remove the display, so that the next output starts on a clean line; safe to call twice."""
        self._finished = True
        display, self._display = self._display, None
        if display is not None:
            self._guarded(display.stop)

    def _heartbeat(self, now: float) -> str:
        state = self._state
        phases = ", ".join(f"{number} {phase}" for phase, number in state.phases().items()) or "no case is active"
        oldest = sorted(state.active.items(), key=lambda item: item[1][1])[:3]
        named = "; ".join(f"{case_id} {phase} for {now - since:.0f} s" for case_id, (phase, since) in oldest)
        return f"[{state.done}/{state.total}] still running: {phases}" + (f" ({one_line(named)})" if named else "")

    def _report(self, line: str, now: float | None = None) -> None:
        now = self._clock() if now is None else now
        if not self._plain:
            self._refresh(now, force=True)
            return
        self._last_output = now
        stamp = datetime.now(timezone.utc).strftime("%H:%M:%SZ")
        self._guarded(lambda: self._write(f"{stamp} {line}\n"))

    def _write(self, line: str) -> None:
        if self._stream is not None:
            self._stream.write(fit(line, self._stream.encoding))
            self._stream.flush()

    def _refresh(self, now: float, *, force: bool = False) -> None:
        if self._plain or self._dead or self._finished:
            return
        self._guarded(lambda: self._draw(now, force=force))

    def _draw(self, now: float, *, force: bool) -> None:
        if self._display is None and self._stream is not None:
            from sdk_tests.report.live import LiveDisplay

            self._display = LiveDisplay(self._stream)
        if self._display is not None:
            self._display.draw(self._state, now, force=force)

    def _guarded(self, write: Callable[[], None]) -> None:
        """Write, and give the stream up if it is closed or if its terminal or reader is gone."""
        if not self._dead:
            self._dead = write_safely(self._stream, write) is not None


def _can_display(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    except ValueError:
        return False


def _record_text(record: Record) -> str:
    """Return one line about a record: its case, the known times, and why it did not pass."""
    spans = (("queued", record.timing.queue_wait), ("run", record.timing.run))
    times = ", ".join(f"{name} {span.seconds:.1f} s" for name, span in spans if span)
    text = one_line(record.case_id) + (f" ({times})" if times else "")
    if record.retries.attempt > 1:
        text += f" attempt {record.retries.attempt}"
    if record.verdict.cause and record.verdict.outcome is not Outcome.PASS:
        text += f": {record.verdict.cause.cls.value}: {one_line(record.verdict.cause.evidence, 200)}"
    return text
