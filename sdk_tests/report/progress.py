"""Live progress: what the loop calls while cases run; a display on a terminal, one line a record elsewhere.

Nothing here may stop a run: a stream that is closed, gone with its terminal or unable to take a character is given up
quietly, and the run goes on.
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
"""Seconds without a line after which plain progress says that it still runs: CI ends jobs that are silent for long."""

_QUIET = (Outcome.PASS, Outcome.SKIP, Outcome.XFAIL)


class Progress:
    """Tells a stream how a run goes on.

    plain: lines instead of the display, which only a terminal that can move its cursor gets in any case.
    clock: seconds that only grow; ``tick`` is given the same clock's time.
    """

    def __init__(
        self, stream: TextIO | None, *, plain: bool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._dead = stream is None
        self._state = RunState(began=clock())
        self._spoke = clock()
        self._finished = False
        self._display: LiveDisplay | None = None
        self._plain = bool(plain) or not _can_display(stream)

    def planned(self, manifest: Manifest, judgements: int) -> None:
        """Say what is ahead; ``presets`` of the planned cases have their verdict already and are not run."""
        self._state.total = len(manifest.planned)
        self._say(
            f"run {manifest.run_id} on {place(manifest)}: {cases(len(manifest.planned))} planned, "
            f"{judgements} decided without a run, {len(manifest.planned) - judgements} to run"
        )

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        """Take note of what happened to a case: submitted, queued, started, landed, retry; or a note of any kind."""
        now = self._clock()
        if what in PHASES:
            self._state.active[case_id] = (PHASES[what], now)
        if what in ("retry", "note"):
            said = one_line(" ".join(part for part in (what if what == "retry" else "", case_id, detail) if part))
            self._state.note = said
            self._say(said)
        else:
            self._refresh(now)

    def recorded(self, record: Record, done: int, total: int) -> None:
        """Count a record; one that is not final leaves its case among those still to come."""
        state, outcome = self._state, record.verdict.outcome
        state.done, state.total = done, total
        state.active.pop(record.case_id, None)
        line = f"{LABELS[outcome.value]:<5} {_told(record)}"
        if record.retries.final:
            state.outcomes[record.case_id] = outcome.value
            if outcome not in _QUIET:
                state.failures.append(line)
        else:
            line += " (not final)"
        self._say(f"[{done:>{len(str(total))}}/{total}] {line}")

    def tick(self, now: float | None = None) -> None:
        """Called about once a second: redraws the display, or breaks a long silence while cases are under way."""
        now = self._clock() if now is None else now
        if not self._plain:
            self._refresh(now, force=True)
        elif now - self._spoke >= HEARTBEAT and (self._state.active or self._state.done < self._state.total):
            self._say(self._heartbeat(now), now)

    def finish(self) -> None:
        """Take the display away, so that what follows starts on a clean line; safe to call twice."""
        self._finished = True
        display, self._display = self._display, None
        if display is not None:
            self._guarded(display.stop)

    def _heartbeat(self, now: float) -> str:
        state = self._state
        phases = ", ".join(f"{number} {phase}" for phase, number in state.phases().items()) or "none under way"
        oldest = sorted(state.active.items(), key=lambda item: item[1][1])[:3]
        named = "; ".join(f"{case_id} {phase} for {now - since:.0f} s" for case_id, (phase, since) in oldest)
        return f"[{state.done}/{state.total}] still at it: {phases}" + (f" ({one_line(named)})" if named else "")

    def _say(self, line: str, now: float | None = None) -> None:
        now = self._clock() if now is None else now
        if not self._plain:
            self._refresh(now, force=True)
            return
        self._spoke = now
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
        """Write, and give the stream up where it is gone: with its terminal or reader, or because it was closed."""
        if not self._dead:
            self._dead = write_safely(self._stream, write) is not None


def _can_display(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    except ValueError:
        return False


def _told(record: Record) -> str:
    """One line on a record: its case, the times that are known, and why it did not pass."""
    spans = (("queued", record.timing.queue_wait), ("run", record.timing.run))
    times = ", ".join(f"{name} {span.seconds:.1f} s" for name, span in spans if span)
    said = one_line(record.case_id) + (f" ({times})" if times else "")
    if record.retries.attempt > 1:
        said += f" attempt {record.retries.attempt}"
    if record.verdict.cause and record.verdict.outcome is not Outcome.PASS:
        said += f": {record.verdict.cause.cls.value}: {one_line(record.verdict.cause.evidence, 200)}"
    return said
