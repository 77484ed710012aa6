"""Explain why a case of a run did not pass: the whole chain, from what was expected to what else has the same cause."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from dashboard_client.causes import BAD, diagnosis_of, key_of, root_causes
from dashboard_client.compare import Difference, compare
from dashboard_client.errors import ResultsError
from dashboard_client.runs import RunFolder, list_runs
from dashboard_client.schema import Diagnosis, Log, Outcome, Record

AROUND = 3
"""Lines before and after the line that names the cause."""
READ = 4_000_000
"""Bytes of a log that are searched for that line."""
INDENT = "  "


class NoSuchCaseError(ResultsError):
    """The run has no such case, or several match."""


@dataclass(frozen=True)
class LastPass:
    """The newest earlier run in which a case passed, and what differs in the software stack since then."""

    run_id: str
    started: str
    stack: tuple[Difference, ...]


def find_case(run: RunFolder, case: str) -> str:
    """Return the planned case with this id, or the only one that the shell pattern matches.

    Raises:
        NoSuchCaseError: no case matches, or several do.
    """
    planned = [each.case_id for each in run.manifest.planned]
    if case in planned:
        return case
    matches = [case_id for case_id in planned if fnmatchcase(case_id, case) or fnmatchcase(case_id, f"*{case}*")]
    if len(matches) == 1:
        return matches[0]
    name = run.manifest.run_id
    if matches:
        listed = ", ".join(matches[:8]) + (f" and {len(matches) - 8} more" if len(matches) > 8 else "")
        raise NoSuchCaseError(f"{case}: {len(matches)} cases of {name} match: {listed}. Give more of the id.")
    raise NoSuchCaseError(f"{case}: no such case in {name}; `exaworks results show {name}` lists its cases")


def last_pass(run: RunFolder, case_id: str, runs_dir: Path) -> LastPass | None:
    """Return the newest earlier run of the same system in which the case passed; None if there is none."""
    manifest = run.manifest
    for earlier in reversed(list_runs(runs_dir)):
        try:
            other = earlier.manifest
            if (other.site, other.system) != (manifest.site, manifest.system) or other.run_id == manifest.run_id:
                continue
            if (other.started, other.run_id) >= (manifest.started, manifest.run_id):
                continue
            record = earlier.effective().get(case_id)
            if record is not None and record.verdict.outcome is Outcome.PASS:
                return LastPass(other.run_id, other.started, compare(earlier, run).stack)
        except ResultsError:
            continue  # a damaged run is reported by `results list`, and is not known to have passed
    return None


def case_as_tree(run: RunFolder, case_id: str, runs_dir: Path) -> dict[str, Any]:
    """Return what ``--json`` prints of a case: its record, and what the record does not contain."""
    record = run.effective().get(case_id)
    before = last_pass(run, case_id, runs_dir)
    return {
        "run_id": run.manifest.run_id,
        "case_id": case_id,
        "record": None if record is None else msgspec.to_builtins(record),
        "last_pass": None if before is None else msgspec.to_builtins(before),
        "same_cause": [] if record is None else _same_cause(run, record),
    }


def run_as_tree(run: RunFolder) -> dict[str, Any]:
    """Return what ``--json`` prints of a run: its causes, each with the cases that it explains."""
    return {
        "run_id": run.manifest.run_id,
        "causes": [
            {
                "cause_key": cause.key,
                "title": cause.title,
                "class": cause.cls.value,
                "advice": _advice(cause.shown),
                "cases": [record.case_id for record in cause.records],
            }
            for cause in root_causes(run.effective().values())
        ],
    }


def run_as_text(run: RunFolder) -> str:
    """Return the causes of all failures of a run, those with most cases first."""
    causes = root_causes(run.effective().values())
    name = run.manifest.run_id
    if not causes:
        return f"{name}: no case failed."
    failures = sum(len(cause.records) for cause in causes)
    lines = [
        f"{name}: {_number(len(causes), 'cause')} explain{'s' if len(causes) == 1 else ''} "
        f"{_number(failures, 'failure')}"
    ]
    for place, cause in enumerate(causes, 1):
        lines += ["", f"{place}. {_line(cause.title)}   at fault: {cause.cls.value}"]
        shown = cause.shown.verdict.cause
        if shown is not None:
            lines.append(f"   cause  {_line(shown.evidence)}")
        advice = _advice(cause.shown)
        if advice:
            lines.append(f"   to do  {_line(advice)}")
        lines += [f"   {record.verdict.outcome.value:<6} {_line(record.case_id)}" for record in cause.records]
    first = shlex.quote(_line(causes[0].shown.case_id))
    return "\n".join([*lines, "", f"All about one case: exaworks explain {name} {first}"])


def case_as_text(run: RunFolder, case_id: str, runs_dir: Path) -> str:
    """Return everything that is known about why a case did not pass."""
    record = run.effective().get(case_id)
    if record is None:
        name = run.manifest.run_id
        return f"{case_id}: planned, but without a record. To run it: exaworks validate --resume {name}"
    return "\n".join(_case(run, record, runs_dir))


def _case(run: RunFolder, record: Record, runs_dir: Path) -> Iterator[str]:
    cause, diagnosis, outcome = record.verdict.cause, diagnosis_of(record), record.verdict.outcome
    attempts = f", attempt {record.retries.attempt}" if record.retries.attempt > 1 else ""
    yield f"{outcome.value.upper()}  {_line(record.case_id)}  ({run.manifest.run_id}{attempts})"
    if cause is None:
        yield "The case passed."
        return
    title = diagnosis.title if diagnosis is not None else cause.rule
    facts = [("at fault", f"{cause.cls.value}: {title}"), ("rule", f"{cause.rule}, phase {cause.phase.value}")]
    if diagnosis is not None:
        facts += [("expected", diagnosis.expected or ""), ("got", diagnosis.got or "")]
    facts.append(("cause", cause.evidence))
    if diagnosis is not None:
        facts += [("to do", diagnosis.advice or ""), ("blocked by", diagnosis.blocked_by or "")]
        facts.append(("cause key", diagnosis.cause_key))
    if outcome in BAD:
        facts.append(("again", f"exaworks rerun {run.manifest.run_id} {shlex.quote(record.case_id)}"))
    yield from (f"{INDENT}{name:<10} {_line(value)}" for name, value in facts if value)
    if diagnosis is not None:
        yield from _around(run, diagnosis)
        yield from _logs(run, diagnosis)
        if diagnosis.answer:
            yield from _block("answer of the payload", _pretty(diagnosis.answer))
    if record.evidence.output_tail:
        yield from _block("end of the output", record.evidence.output_tail.splitlines()[-40:])
    yield from _since(run, record, runs_dir)
    others = _same_cause(run, record)
    if others:
        yield from _block("the same cause", others)


def _around(run: RunFolder, diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the lines around the one that names the cause, from the original log if it is on this machine."""
    if not diagnosis.line:
        return
    for log in diagnosis.logs:
        if diagnosis.source is None or not _is_named(log, diagnosis.source):
            continue
        lines = _content(run, log)
        wanted = diagnosis.line.strip()
        place = next((number for number, line in enumerate(lines) if wanted[:200] in line), None)
        if place is not None:
            first = max(0, place - AROUND)
            shown = [
                f"{'>' if number == place else ' '} {number + 1}: {line}"
                for number, line in enumerate(lines[first : place + AROUND + 1], first)
            ]
            yield from _block(f"around the cause, in private/{log.path}", shown)
            return
    if diagnosis.source:
        yield from _block(f"the line, in: {diagnosis.source}", [diagnosis.line])


def _is_named(log: Log, source: str) -> bool:
    name = Path(log.path).name
    return name == source or name.removesuffix(".txt") == source.replace(" ", "-")


def _logs(run: RunFolder, diagnosis: Diagnosis) -> Iterator[str]:
    for log in diagnosis.logs:
        there = "" if (run.private / log.path).is_file() else ", not on this machine"
        yield from _block(f"{log.component}: private/{log.path} ({log.size} bytes{there})", log.lines)


def _since(run: RunFolder, record: Record, runs_dir: Path) -> Iterator[str]:
    before = last_pass(run, record.case_id, runs_dir)
    if before is None:
        yield from _block("since it last passed", ["no earlier run on this machine in which this case passed"])
        return
    changes = [f"{each.what}: {each.a or '-'} -> {each.b or '-'}" for each in before.stack]
    heading = f"since it last passed, in {before.run_id} ({before.started})"
    yield from _block(heading, changes or ["the recorded software stack is the same"])


def _same_cause(run: RunFolder, record: Record) -> list[str]:
    if record.verdict.outcome not in BAD:
        return []
    key = key_of(record)
    others = (each for each in run.effective().values() if each.case_id != record.case_id)
    return [each.case_id for each in others if each.verdict.outcome in BAD and key_of(each) == key]


def _content(run: RunFolder, log: Log) -> list[str]:
    path = (run.private / log.path).resolve()
    if not path.is_relative_to(run.private.resolve()):  # a record is data; it must not make us read another file
        return []
    try:
        with path.open("rb") as stream:
            return stream.read(READ).decode(errors="replace").splitlines()
    except OSError:
        return []


def _pretty(answer: str) -> list[str]:
    try:
        return json.dumps(json.loads(answer), indent=1, ensure_ascii=False).splitlines()
    except ValueError:  # it was cut
        return [answer]


def _advice(record: Record) -> str | None:
    diagnosis = diagnosis_of(record)
    return diagnosis.advice if diagnosis is not None else None


def _block(heading: str, lines: list[str]) -> Iterator[str]:
    yield ""
    yield f"{INDENT}{_line(heading)}"
    yield from (f"{INDENT}{INDENT}{_line(line)}" for line in lines)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _line(text: str) -> str:
    """Replace control characters, so that a log cannot control the reader's terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text).rstrip()
