"""A run as every report sees it: each planned case with the record that counts, the counts, and the verdict in words.

The counts are made here from the planned cases and the records at hand; the closing count of the manifest is compared
with them, never believed in their stead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dashboard_client.schema import Cause, CauseClass, Manifest, Outcome, PlannedCase, Record
from dashboard_client.verdict import proven, verdict_code

MISSING = "missing"
"""The state of a planned case without a record; derived here, never uploaded."""

STATES: tuple[str, ...] = ("pass", "fail", "error", "infra", MISSING, "xpass", "xfail", "skip")
"""Every state a planned case can be in, worst news after the passes first."""

PROBLEMS: tuple[str, ...] = ("fail", "error", "infra", MISSING)
"""The states that need someone to look."""

LABELS: Mapping[str, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "error": "ERROR",
    "infra": "INFRA",
    MISSING: "missing",
    "xpass": "xpass",
    "xfail": "xfail",
    "skip": "skip",
}

BLAME: Mapping[CauseClass, str] = {
    CauseClass.SITE: "the site",
    CauseClass.SCHEDULER: "the scheduler",
    CauseClass.COMPONENT: "the component",
    CauseClass.DISTRIBUTION: "the distribution",
    CauseClass.HARNESS: "the test harness",
    CauseClass.UNKNOWN: "not known (not enough evidence)",
}

EXIT_CODES: Mapping[int, str] = {
    0: "everything planned passed, or was skipped for a reason the site file allows",
    1: "something failed, reached no verdict or did not report, or nothing but controls passed",
    2: "usage or configuration error: nothing was judged",
    3: "only the site's infrastructure failed: the SDK was not judged there",
    130: "interrupted before every planned case had a verdict",
}


@dataclass(frozen=True)
class Line:
    """One planned case, the record that counts for it (its highest attempt), and the attempts before that."""

    planned: PlannedCase
    record: Record | None = None
    earlier: tuple[Record, ...] = ()

    @property
    def case_id(self) -> str:
        return self.planned.case_id

    @property
    def row(self) -> str:
        return "+".join((self.planned.component, *self.planned.partners))

    @property
    def state(self) -> str:
        return self.record.verdict.outcome.value if self.record else MISSING

    @property
    def cause(self) -> Cause | None:
        return self.record.verdict.cause if self.record else None

    @property
    def emulated(self) -> bool:
        """Whether a dialect emulator stood in for the scheduler, outer or nested."""
        return self.record is not None and is_emulated(self.record)


@dataclass(frozen=True)
class Verdict:
    """What the run came to: ``word`` for programs, ``title`` and ``detail`` for people.

    word: ``passed``, ``failed``, ``infra``, ``interrupted``, ``nothing-passed``, ``not-judged``, ``unfinished`` or
    ``inconsistent``. exit_code: of the closing count; None where the run was never closed.
    """

    word: str
    title: str
    detail: str
    exit_code: int | None

    @property
    def good(self) -> bool:
        return self.word == "passed"


@dataclass(frozen=True)
class View:
    """A manifest and its records, put side by side."""

    manifest: Manifest
    lines: tuple[Line, ...]
    unplanned: tuple[Record, ...] = field(default=())

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of planned cases in each state, all states named; they add up to the planned cases."""
        counts = dict.fromkeys(STATES, 0)
        for line in self.lines:
            counts[line.state] += 1
        return counts

    @property
    def problems(self) -> list[Line]:
        """Failures first, then what reached no verdict, then what did not report."""
        return [line for state in PROBLEMS for line in self.lines if line.state == state]

    def grouped_problems(self) -> list[list[Line]]:
        """Problems with one and the same cause together: a component that is absent fails all its cases at once."""
        grouped: dict[tuple[object, ...], list[Line]] = {}
        for line in self.problems:
            cause = line.cause
            key = (line.state, cause and (cause.phase, cause.cls, cause.rule, cause.evidence))
            grouped.setdefault(key, []).append(line)
        return list(grouped.values())

    @property
    def passes(self) -> int:
        """Passes, the unexpected ones too."""
        return self.counts["pass"] + self.counts["xpass"]

    @property
    def proven(self) -> int:
        """Passes of more than controls, where more was planned."""
        return proven(self.manifest, {line.case_id: line.record for line in self.lines if line.record is not None})

    @property
    def emulated_passes(self) -> int:
        return sum(line.state in ("pass", "xpass") and line.emulated for line in self.lines)

    @property
    def unfinished_attempts(self) -> int:
        """Cases whose last record says that another attempt is to follow."""
        return sum(not record.retries.final for record in self.records())

    @cached_property
    def verdict(self) -> Verdict:
        return _verdict(self)

    def records(self) -> list[Record]:
        """The records that count, in planned order."""
        return [line.record for line in self.lines if line.record]

    def skips(self) -> dict[str, list[Line]]:
        """Skipped cases by the evidence that says why, in planned order."""
        grouped: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.state == "skip" and line.cause:
                grouped.setdefault(line.cause.evidence, []).append(line)
        return grouped

    def schedulers(self) -> list[str]:
        return list(dict.fromkeys(line.planned.scheduler for line in self.lines))

    def rows(self) -> list[str]:
        return list(dict.fromkeys(line.row for line in self.lines))

    def cell(self, row: str, scheduler: str) -> list[Line]:
        return [line for line in self.lines if line.row == row and line.planned.scheduler == scheduler]

    def column_emulated(self, scheduler: str) -> bool:
        return any(line.emulated for line in self.lines if line.planned.scheduler == scheduler)


def is_emulated(record: Record) -> bool:
    return any(part is not None and part.emulated for part in (record.scheduler.outer, record.scheduler.nested))


def view(manifest: Manifest, records: Sequence[Record] | Mapping[str, Record]) -> View:
    """Put records beside the planned cases. A record that was read twice counts once; the highest attempt counts."""
    attempts: dict[str, dict[int, Record]] = {}
    for record in records.values() if isinstance(records, Mapping) else records:
        attempts.setdefault(record.case_id, {})[record.retries.attempt] = record
    lines = []
    for planned in manifest.planned:
        ordered = _by_attempt(attempts.pop(planned.case_id, {}))
        lines.append(Line(planned, ordered[-1] if ordered else None, tuple(ordered[:-1])))
    strays = tuple(record for found in attempts.values() for record in _by_attempt(found))
    return View(manifest, tuple(lines), strays)


def place(manifest: Manifest) -> str:
    """The machine's full name, site and system."""
    return f"{manifest.site}/{manifest.system}"


def tally(counts: Mapping[str, int]) -> str:
    """Say counts in words, passes first: ``3 pass, 1 FAIL, missing 2``."""
    return ", ".join(counted(state, counts[state]) for state in STATES if counts.get(state)) or "nothing"


def counted(state: str, number: int) -> str:
    """Say one count; what is missing is no result, so it reads the other way round."""
    return f"missing {number}" if state == MISSING else f"{number} {LABELS[state]}"


def cases(number: int) -> str:
    return f"{number} case" if number == 1 else f"{number} cases"


def _by_attempt(found: Mapping[int, Record]) -> list[Record]:
    return [found[attempt] for attempt in sorted(found)]


def _listed(parts: Iterable[str]) -> str:
    *most, last = [part for part in parts if part] or ["the run ended in an error or skipped what it should not"]
    return f"{', '.join(most)} and {last}" if most else last


def _verdict(run: View) -> Verdict:
    counts, closed, planned = run.counts, run.manifest.closed, len(run.lines)
    recorded = planned - counts[MISSING]
    if closed is None:
        return Verdict(
            "unfinished",
            "Not finished: the run was never closed",
            f"{recorded} of {cases(planned)} have a record. {_carry_on(run)}",
            None,
        )
    code = closed.exit_code
    wrong = _contradictions(run)
    if wrong:
        return Verdict("inconsistent", "No verdict: the closing count does not agree with the records", wrong, code)
    if closed.state == "interrupted" or code == 130:
        return Verdict("interrupted", "Interrupted: no verdict on the whole", _carry_on(run), code)
    if code == 2:
        return Verdict("not-judged", "Not judged: usage or configuration error", "", code)
    if not run.proven and not any(counts[state] for state in PROBLEMS):
        but = " but controls" if run.passes else ""
        return Verdict("nothing-passed", f"Nothing{but} passed, so nothing is validated", _notes(run), code)
    if code == 0:
        only = " on emulated schedulers only" if run.emulated_passes == run.passes else ""
        return Verdict("passed", f"Passed{only}: {cases(run.passes)} passed and none failed", _notes(run), code)
    troubles = _listed(
        (
            f"{counts['fail']} failed" if counts["fail"] else "",
            f"{counts['error']} reached no verdict" if counts["error"] else "",
            f"{counts['infra']} could not run for the site's own reasons" if counts["infra"] else "",
            f"{counts[MISSING]} did not report" if counts[MISSING] else "",
            f"{run.unfinished_attempts} still to be tried again" if run.unfinished_attempts else "",
        )
    )
    if code == 3:
        title = f"Not validated: of {cases(planned)}, {troubles}"
        return Verdict("infra", title, f"Only the site's infrastructure failed. {_notes(run)}".strip(), code)
    return Verdict("failed", f"Failed: of {cases(planned)}, {troubles}", _notes(run), code)


def _carry_on(run: View) -> str:
    return f"Carry on with: exaworks validate --resume {run.manifest.run_id}"


def _notes(run: View) -> str:
    """What a reader must know beside the heading and the counts; mostly nothing."""
    said = []
    if run.emulated_passes:
        said.append(
            f"{cases(run.emulated_passes)} passed on an emulated scheduler, which proves nothing of the real one."
        )
    if run.counts["xpass"]:
        said.append(
            f"{cases(run.counts['xpass'])} passed although listed as known to fail: the listing is out of date."
        )
    return " ".join(said)


def _contradictions(run: View) -> str:
    closed, counts = run.manifest.closed, run.counts
    if closed is None:
        return ""
    found = []
    if closed.planned != len(run.lines):
        found.append(f"the closing count says {closed.planned} planned, the manifest names {len(run.lines)}")
    if closed.missing != counts[MISSING]:
        found.append(f"the closing count says {closed.missing} missing, {counts[MISSING]} have no record here")
    for outcome in Outcome:
        said = closed.counts.get(outcome.value, 0)
        if said != counts[outcome.value]:
            found.append(f"the closing count says {said} {outcome.value}, the records here say {counts[outcome.value]}")
    meant = verdict_code(run.manifest, {record.case_id: record for record in run.records()})
    if closed.exit_code in (0, 3) and meant != closed.exit_code:
        found.append(f"the exit code is {closed.exit_code}, the records here mean {meant}")
    return "; ".join(found) + "." if found else ""
