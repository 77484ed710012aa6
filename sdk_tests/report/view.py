"""The view of a run that all reports share: each planned case with its record, the counts, and the verdict as text.

The counts are computed here from the planned cases and the records. The counts in the manifest are only compared with
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dashboard_client.causes import RootCause, diagnosis_of, key_of, root_causes
from dashboard_client.schema import (
    Cause,
    CauseClass,
    Diagnosis,
    Manifest,
    Outcome,
    PlannedCase,
    Record,
    deployment_label,
)
from dashboard_client.verdict import count_passes, verdict_code, without_passes

MISSING = "missing"
"""The state of a planned case without a record; derived here, never part of a record."""

STATES: tuple[str, ...] = ("pass", "fail", "error", "infra", MISSING, "xpass", "xfail", "skip")
"""Every state of a planned case: passes first, then from the worst to the most harmless."""

PROBLEMS: tuple[str, ...] = ("fail", "error", "infra", MISSING)
"""The states that need attention."""

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
    CauseClass.UNKNOWN: "unknown (not enough evidence)",
}

EXIT_CODES: Mapping[int, str] = {
    0: "every planned case passed, or was skipped for a reason that the site allows",
    1: "a case failed, reached no verdict or is missing, or only control cases passed",
    2: "usage or configuration error: no case was run",
    3: "only the site's infrastructure failed",
    130: "interrupted before every planned case had a verdict",
}


@dataclass(frozen=True)
class Line:
    """One planned case, the record of its last attempt, and the records of the earlier attempts."""

    planned: PlannedCase
    record: Record | None = None
    earlier: tuple[Record, ...] = ()

    @property
    def case_id(self) -> str:
        return self.planned.case_id

    @property
    def row(self) -> str:
        """The component and its partners, and the deployment if it is not the first of the run."""
        label = deployment_label(self.case_id)
        return "+".join((self.planned.component, *self.planned.partners)) + (f" in {label}" if label else "")

    @property
    def deployment(self) -> str | None:
        """The name of the deployment; None if the case has no record."""
        deployment = self.record.stack.deployment if self.record else None
        return deployment.name if deployment else None

    @property
    def state(self) -> str:
        return self.record.verdict.outcome.value if self.record else MISSING

    @property
    def cause(self) -> Cause | None:
        return self.record.verdict.cause if self.record else None

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The diagnosis of a case that did not pass; None for records of schema 1."""
        return diagnosis_of(self.record) if self.record else None

    @property
    def emulated(self) -> bool:
        """Whether the outer or the nested scheduler was emulated."""
        return self.record is not None and is_emulated(self.record)


@dataclass(frozen=True)
class Verdict:
    """The verdict of a run: ``name`` for programs, ``title`` and ``detail`` for people.

    name: ``passed``, ``failed``, ``infra``, ``interrupted``, ``nothing-passed``, ``not-judged``, ``unfinished`` or
    ``inconsistent``. exit_code: from the manifest; None if the run was not closed.
    """

    name: str
    title: str
    detail: str
    exit_code: int | None

    @property
    def good(self) -> bool:
        return self.name == "passed"


@dataclass(frozen=True)
class View:
    """A manifest with its records."""

    manifest: Manifest
    lines: tuple[Line, ...]
    unplanned: tuple[Record, ...] = field(default=())

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of planned cases in each state; every state is a key, and the numbers add up to the planned cases."""
        counts = dict.fromkeys(STATES, 0)
        for line in self.lines:
            counts[line.state] += 1
        return counts

    @property
    def problems(self) -> list[Line]:
        """The cases that need attention: failures, then cases without a verdict, then cases that did not report."""
        return [line for state in PROBLEMS for line in self.lines if line.state == state]

    def grouped_problems(self) -> list[list[Line]]:
        """Return the problems grouped by cause: a missing component, for example, fails all of its cases.

        A group begins with a case that shows the cause; cases that were only blocked by it follow.
        """
        grouped: dict[tuple[str, str], list[Line]] = {}
        for line in self.problems:
            key = (line.state, key_of(line.record) if line.record else MISSING)
            grouped.setdefault(key, []).append(line)
        return [sorted(lines, key=_only_blocked) for lines in grouped.values()]

    @cached_property
    def causes(self) -> list[RootCause]:
        """The causes of all cases that did not pass, those with most cases first; missing cases have none."""
        return root_causes(self.records())

    @property
    def passes(self) -> int:
        """Number of passes, including unexpected ones."""
        return self.counts["pass"] + self.counts["xpass"]

    @property
    def component_passes(self) -> int:
        """Number of passes that prove something: control cases do not count if other cases were planned."""
        return count_passes(
            self.manifest, {line.case_id: line.record for line in self.lines if line.record is not None}
        )

    @property
    def emulated_passes(self) -> int:
        return sum(line.state in ("pass", "xpass") and line.emulated for line in self.lines)

    @property
    def unfinished_attempts(self) -> int:
        """Number of cases whose last record is not final."""
        return sum(not record.retries.final for record in self.records())

    @cached_property
    def verdict(self) -> Verdict:
        return _verdict(self)

    def records(self) -> list[Record]:
        """Return the records that count, in planned order."""
        return [line.record for line in self.lines if line.record]

    def skips(self) -> dict[str, list[Line]]:
        """Return the skipped cases by their reason, in planned order."""
        grouped: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.state == "skip" and line.cause:
                grouped.setdefault(line.cause.evidence, []).append(line)
        return grouped

    def schedulers(self) -> list[str]:
        return list(dict.fromkeys(line.planned.scheduler for line in self.lines))

    def deployments(self) -> dict[str, str]:
        """Return the name of each deployment by the label in its case ids, as far as there are records."""
        names: dict[str, str] = {}
        for line in self.lines:
            if line.deployment is not None:
                names.setdefault(deployment_label(line.case_id), line.deployment)
        return names

    def rows(self) -> list[str]:
        return list(dict.fromkeys(line.row for line in self.lines))

    def cell(self, row: str, scheduler: str) -> list[Line]:
        return [line for line in self.lines if line.row == row and line.planned.scheduler == scheduler]

    def column_emulated(self, scheduler: str) -> bool:
        return any(line.emulated for line in self.lines if line.planned.scheduler == scheduler)


def is_emulated(record: Record) -> bool:
    return any(part is not None and part.emulated for part in (record.scheduler.outer, record.scheduler.nested))


def view(manifest: Manifest, records: Sequence[Record] | Mapping[str, Record]) -> View:
    """Assign records to planned cases. A record that is given twice counts once; the last attempt counts."""
    attempts: dict[str, dict[int, Record]] = {}
    for record in records.values() if isinstance(records, Mapping) else records:
        attempts.setdefault(record.case_id, {})[record.retries.attempt] = record
    lines = []
    for planned in manifest.planned:
        ordered = _by_attempt(attempts.pop(planned.case_id, {}))
        lines.append(Line(planned, ordered[-1] if ordered else None, tuple(ordered[:-1])))
    unplanned = tuple(record for rest in attempts.values() for record in _by_attempt(rest))
    return View(manifest, tuple(lines), unplanned)


def place(manifest: Manifest) -> str:
    """Return the full name of the system: ``site/system``."""
    return f"{manifest.site}/{manifest.system}"


def tally(counts: Mapping[str, int]) -> str:
    """Write counts as text, passes first: ``3 pass, 1 FAIL, missing 2``."""
    return ", ".join(counted(state, counts[state]) for state in STATES if counts.get(state)) or "nothing"


def counted(state: str, number: int) -> str:
    """Write one count: ``3 pass``, but ``missing 2``, because a missing case has no result."""
    return f"missing {number}" if state == MISSING else f"{number} {LABELS[state]}"


def cases(number: int) -> str:
    return f"{number} case" if number == 1 else f"{number} cases"


def _only_blocked(line: Line) -> bool:
    return line.diagnosis is not None and line.diagnosis.blocked_by is not None


def _by_attempt(attempts: Mapping[int, Record]) -> list[Record]:
    return [attempts[attempt] for attempt in sorted(attempts)]


def _listed(parts: Iterable[str]) -> str:
    *most, last = [part for part in parts if part] or [
        "the run ended with an error or skipped cases that must not be skipped"
    ]
    return f"{', '.join(most)} and {last}" if most else last


def _verdict(run: View) -> Verdict:
    counts, closed, planned = run.counts, run.manifest.closed, len(run.lines)
    recorded = planned - counts[MISSING]
    if closed is None:
        return Verdict(
            "unfinished",
            "Unfinished: the run was not closed",
            f"{recorded} of {cases(planned)} have a record. {_resume_advice(run)}",
            None,
        )
    code = closed.exit_code
    contradictions = _contradictions(run)
    if contradictions:
        return Verdict(
            "inconsistent", "No verdict: the manifest and the records contradict each other", contradictions, code
        )
    if closed.state == "interrupted" or code == 130:
        return Verdict("interrupted", "Interrupted: the run has no verdict", _resume_advice(run), code)
    if code == 2:
        return Verdict("not-judged", "Not judged: usage or configuration error", "", code)
    if not run.component_passes and not any(counts[state] for state in PROBLEMS):
        what = "Only control cases" if run.passes else "Nothing"
        return Verdict("nothing-passed", f"{what} passed, so nothing is validated", _notes(run), code)
    idle = without_passes(run.manifest, {record.case_id: record for record in run.records()})
    if idle and not any(counts[state] for state in PROBLEMS):
        names = ", ".join(run.deployments().get(label, label) for label in idle)
        title = f"Nothing passed in deployment {names}, so it is not validated"
        return Verdict("nothing-passed", title, _notes(run), code)
    if code == 0:
        only = " on emulated schedulers only" if run.emulated_passes == run.passes else ""
        return Verdict("passed", f"Passed{only}: {cases(run.passes)} passed and none failed", _notes(run), code)
    problems = _listed(
        (
            f"{counts['fail']} failed" if counts["fail"] else "",
            f"{counts['error']} reached no verdict" if counts["error"] else "",
            f"{counts['infra']} could not run because of the site" if counts["infra"] else "",
            f"{counts[MISSING]} did not report" if counts[MISSING] else "",
            f"{run.unfinished_attempts} unfinished" if run.unfinished_attempts else "",
        )
    )
    if code == 3:
        title = f"Not validated: of {cases(planned)}, {problems}"
        return Verdict("infra", title, f"Only the site's infrastructure failed. {_notes(run)}".strip(), code)
    return Verdict("failed", f"Failed: of {cases(planned)}, {problems}", _notes(run), code)


def _resume_advice(run: View) -> str:
    return f"To continue it: exaworks validate --resume {run.manifest.run_id}"


def _notes(run: View) -> str:
    """Return what a reader must know in addition to the title and the counts; usually empty."""
    notes = []
    if run.emulated_passes:
        notes.append(
            f"{cases(run.emulated_passes)} passed on an emulated scheduler, which proves nothing about the real one."
        )
    if run.counts["xpass"]:
        notes.append(
            f"{cases(run.counts['xpass'])} passed although listed as a known failure: the listing is out of date."
        )
    return " ".join(notes)


def _contradictions(run: View) -> str:
    closed, counts = run.manifest.closed, run.counts
    if closed is None:
        return ""
    contradictions = []
    if closed.planned != len(run.lines):
        contradictions.append(f"the manifest counts {closed.planned} planned cases, but names {len(run.lines)}")
    if closed.missing != counts[MISSING]:
        contradictions.append(
            f"the manifest counts {closed.missing} missing cases, but {counts[MISSING]} have no record"
        )
    for outcome in Outcome:
        closing_count = closed.counts.get(outcome.value, 0)
        if closing_count != counts[outcome.value]:
            contradictions.append(
                f"the manifest counts {closing_count} {outcome.value}, but the records {counts[outcome.value]}"
            )
    expected_code = verdict_code(run.manifest, {record.case_id: record for record in run.records()})
    if closed.exit_code in (0, 3) and expected_code != closed.exit_code:
        contradictions.append(f"the exit code is {closed.exit_code}, but the records mean {expected_code}")
    return "; ".join(contradictions) + "." if contradictions else ""
