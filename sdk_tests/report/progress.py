"""Live progress of a run: a display on a terminal, otherwise lines.

Only what runs is shown. What cannot run is summarised once, by reason, before anything starts; passes that follow each
other closely share a line. A verbose progress prints a line for each record in their place.

Nothing here may stop a run. If the stream is closed, its terminal has disappeared or it cannot take a character, the
progress is silently given up and the run continues.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from dashboard_client.causes import diagnosis_of
from dashboard_client.schema import CONTROL, Manifest, Outcome, Record
from sdk_tests.model.attempt import Judgement
from sdk_tests.report.not_tested import Undone, not_tested, rows
from sdk_tests.report.run_state import PHASES, RunState
from sdk_tests.report.stream import write_safely
from sdk_tests.report.text import fit, one_line
from sdk_tests.report.view import LABELS, cases, place

if TYPE_CHECKING:
    from sdk_tests.report.live import LiveDisplay

HEARTBEAT = 120.0
"""Seconds without output after which plain progress prints a line; CI systems stop jobs that are silent for long."""

GATHERED = 30.0
"""Seconds that a pass may wait for further ones, to share a line with them."""

LINE = 100
"""Characters of a line that several passes share."""

_QUIET = (Outcome.PASS, Outcome.SKIP, Outcome.XFAIL)


class Progress:
    """Reports the progress of a run on a stream.

    plain: print lines even on a terminal; a stream without cursor control always gets lines. verbose: a line for each
    record, also of a case that does not run.
    clock: a monotonic clock in seconds; ``tick`` takes times of the same clock.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        plain: bool | None = None,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._dead = stream is None
        self._state = RunState(started=clock())
        self._last_output = clock()
        self._finished = False
        self._display: LiveDisplay | None = None
        self._plain = bool(plain) or not _can_display(stream)
        self._verbose = verbose
        self._hidden: set[str] = set()
        """Cases that do not run, and that are not shown."""
        self._passed: list[str] = []
        """Passes that have no line yet."""
        self._passed_since = 0.0
        self._shown_causes: set[str] = set()
        """Findings that block cases, of which one case was shown."""

    def planned(self, manifest: Manifest, prejudged: Mapping[str, Judgement]) -> None:
        """Report the plan. prejudged: the verdicts of the cases that do not run."""
        total, here = len(manifest.planned), len(manifest.planned) - len(prejudged)
        if self._verbose:
            self._state.total = total
            self._report(
                f"run {manifest.run_id} on {place(manifest)}: {cases(total)} planned, "
                f"{len(prejudged)} decided without a run, {here} to run"
            )
            return
        self._hidden = set(prejudged)
        self._state.total = here
        number = f"{here} of {cases(total)} to run here" if prejudged else f"{cases(total)} to run"
        lines = [f"run {manifest.run_id} on {place(manifest)}: {number}"]
        without_run = [
            (Undone((each.component, *each.partners), each.scheduler, prejudged[each.case_id].cause), each.case_id)
            for each in manifest.planned
            if each.case_id in prejudged
        ]
        skipped = [each for each, case_id in without_run if prejudged[case_id].outcome is Outcome.SKIP]
        missing = [each for each, case_id in without_run if prejudged[case_id].outcome is not Outcome.SKIP]
        if missing:
            lines += ["promised and missing, which fails the run:", *rows(not_tested(missing))]
        if skipped:
            lines += ["not here, so not tested (`exaworks validate --list` shows each case):"]
            lines += rows(not_tested(skipped))
        for line in lines:
            self._print(line)

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
        """Count a record; if it is not final, its case stays unfinished.

        done, total: of all planned cases. Those that do not run are not part of what is shown.
        """
        state, outcome = self._state, record.verdict.outcome
        if record.case_id in self._hidden:
            state.hidden += 1
            return
        state.done, state.total = done - state.hidden, total - len(self._hidden)
        state.active.pop(record.case_id, None)
        line = f"{LABELS[outcome.value]:<5} {_record_text(record)}"
        if record.retries.final:
            state.outcomes[record.case_id] = outcome.value
            if outcome not in _QUIET:
                state.failures.append(line)
        else:
            line += " (not final)"
        if self._verbose or not self._plain:
            self._report(f"{self._position()} {line}")
        elif record.retries.final and outcome is Outcome.PASS:
            self._gather(record.case_id)
            if record.case.component == CONTROL:  # it shows at once that the scheduler works
                self._flush()
        elif not self._is_repetition(record):
            self._flush()
            self._report(f"{self._position()} {line}")

    def _position(self) -> str:
        state = self._state
        return f"[{state.done:>{len(str(state.total))}}/{state.total}]"

    def _gather(self, case_id: str) -> None:
        """Keep a pass for a line with others; print that line once it is full."""
        if sum(len(each) + 2 for each in self._passed) + len(case_id) > LINE:
            self._flush()
        if not self._passed:
            self._passed_since = self._clock()
        self._passed.append(one_line(case_id))
        if self._state.done >= self._state.total:
            self._flush()

    def _flush(self) -> None:
        """Print the passes that have no line yet."""
        if self._passed:
            self._report(f"{self._position()} pass  {', '.join(self._passed)}")
            self._passed = []

    def _is_repetition(self, record: Record) -> bool:
        """Return whether a case was blocked by a finding of which another case was shown."""
        diagnosis = diagnosis_of(record)
        if diagnosis is None or diagnosis.blocked_by is None:
            return False
        repeated = diagnosis.blocked_by in self._shown_causes
        self._shown_causes.add(diagnosis.blocked_by)
        return repeated

    def tick(self, now: float | None = None) -> None:
        """Redraw the display, or print a line after a long silence while cases are unfinished; called once a second."""
        now = self._clock() if now is None else now
        if not self._plain:
            self._refresh(now, force=True)
            return
        if self._passed and now - self._passed_since >= GATHERED:
            self._flush()
        if now - self._last_output >= HEARTBEAT and (self._state.active or self._state.done < self._state.total):
            self._report(self._heartbeat(now), now)

    def finish(self) -> None:
        """Remove the display, so that the next output starts on a clean line; safe to call twice."""
        self._flush()
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
        self._print(line)

    def _print(self, line: str) -> None:
        """Print a line that stays, also on a terminal."""
        stamp = datetime.now(timezone.utc).strftime("%H:%M:%SZ ") if self._plain else ""
        self._guarded(lambda: self._write(f"{stamp}{line}\n"))

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
