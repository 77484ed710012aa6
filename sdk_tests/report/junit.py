"""JUnit XML in the format that pytest calls xunit2, for GitLab and Jenkins: a suite per scheduler, a case per cell.

GitLab shows the text of a failure and not its message, and does not read properties of a single case. So the text
repeats the cause, and the facts of a case (job ids, times, attempts) are in its system-out. The output of the component
is in system-err.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dashboard_client.causes import diagnosis_of
from dashboard_client.schema import Manifest, Outcome, Record, Span, Timing
from sdk_tests.report.environment import environment, named
from sdk_tests.report.text import TAIL, clean, one_line, tail
from sdk_tests.report.view import BLAME, MISSING, Line, View, is_emulated, place, view

_ELEMENT = {
    "fail": "failure",
    "error": "error",
    "infra": "error",
    MISSING: "error",
    "skip": "skipped",
    "xfail": "skipped",
}
"""The element for each state; a pass and an unexpected pass have none."""

PASS_TAIL = 2_048
"""Characters of output that are included for a case that passed."""


def junit_xml(manifest: Manifest, records: Sequence[Record]) -> str:
    """Return the run as JUnit XML; it contains every planned case once, so its counts add up.

    The time of a case is the run time of its payload, and is left out if unknown. Earlier attempts are ``flakyFailure``
    and ``flakyError`` if the case passed in the end, else ``rerunFailure`` and ``rerunError``.
    """
    run = view(manifest, records)
    root = Element("testsuites", name=clean(f"exaworks {place(manifest)}"))
    for scheduler in run.schedulers():
        lines = [line for line in run.lines if line.planned.scheduler == scheduler]
        suite = SubElement(root, "testsuite", _suite_attributes(run, scheduler, lines))
        properties = SubElement(suite, "properties")
        for name, value in _properties(run, scheduler, lines):
            SubElement(properties, "property", name=clean(name), value=one_line(value, 2000))
        for line in lines:
            _testcase(suite, line, manifest.run_id)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite_attributes(run: View, scheduler: str, lines: Sequence[Line]) -> dict[str, str]:
    elements = [_ELEMENT.get(line.state) for line in lines]
    spans = [line.record.timing.run for line in lines if line.record]
    starts = [line.record.timing.submitted or line.record.timing.started for line in lines if line.record]
    return {
        "name": clean(_suite_name(scheduler, any(line.emulated for line in lines))),
        "tests": str(len(lines)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "skipped": str(elements.count("skipped")),
        "time": f"{sum(span.seconds for span in spans if span):.3f}",
        "timestamp": clean(min((instant for instant in starts if instant), default=run.manifest.started)),
        "hostname": clean(place(run.manifest)),
    }


def _suite_name(scheduler: str, emulated: bool) -> str:
    return f"{scheduler} (emulated)" if emulated else scheduler


def _properties(run: View, scheduler: str, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Yield the environment of a suite, from its own records only, since schedulers may differ."""
    manifest, facts = run.manifest, environment(View(run.manifest, tuple(lines)))
    yield "run_id", manifest.run_id
    yield "site", manifest.site
    yield "system", manifest.system
    yield "scheduler", ", ".join(map(named, facts.schedulers)) or scheduler
    yield "trigger", manifest.trigger
    yield "started", manifest.started
    yield "release", manifest.release or "none"
    yield "harness", " ".join(filter(None, (manifest.harness.version, manifest.harness.commit)))
    for deployment in manifest.deployments:
        yield f"deployment.{deployment.name}", f"{deployment.kind} {deployment.digest}"
    several = len(facts.deployments) > 1
    for name, components in facts.deployments.items():
        for component in components:
            key = f"component.{name}.{component.name}" if several else f"component.{component.name}"
            yield key, component.version or "unknown"
    for key, values in (("python", facts.python), ("mpi", facts.mpi), ("modules", facts.modules)):
        if values:
            yield key, ", ".join(values)
    if facts.launchers:
        yield "launcher", ", ".join(map(named, facts.launchers))
    yield "verdict", run.verdict.name
    if run.verdict.exit_code is not None:
        yield "exit_code", str(run.verdict.exit_code)


def _testcase(suite: Element, line: Line, run_id: str) -> None:
    record = line.record
    case = SubElement(
        suite,
        "testcase",
        classname=clean(f"{_suite_name(line.planned.scheduler, line.emulated)}.{line.row}"),
        name=clean(line.case_id),
    )
    if record and record.timing.run:
        case.set("time", f"{record.timing.run.seconds:.3f}")
    element = _ELEMENT.get(line.state)
    if element and record is None:
        child = SubElement(case, element, type=MISSING, message="missing: planned, but without a record")
        child.text = clean(
            f"No attempt of this case was recorded. To run the missing cases: exaworks validate --resume {run_id}"
        )
    elif element and record is not None:
        child = SubElement(case, element, _cause_attributes(record))
        child.text = _cause_text(record)
    kind = "flaky" if line.state in ("pass", "xpass") else "rerun"
    for attempt in line.earlier:
        suffix = "Failure" if attempt.verdict.outcome.value == "fail" else "Error"
        earlier = SubElement(case, kind + suffix, _cause_attributes(attempt))
        SubElement(earlier, "stackTrace").text = _cause_text(attempt)
        _output(earlier, attempt, TAIL)
    if record is not None:
        SubElement(case, "system-out").text = "\n".join(_facts(line, record))
        _output(case, record, TAIL if element else PASS_TAIL)


def _cause_attributes(record: Record) -> dict[str, str]:
    cause, outcome = record.verdict.cause, record.verdict.outcome.value
    if cause is None:
        return {"type": outcome, "message": outcome}
    kind = f"{outcome}.{cause.cls.value}.{cause.rule}"
    diagnosis = diagnosis_of(record)
    title = f"{diagnosis.title}: " if diagnosis is not None else ""
    return {"type": clean(kind), "message": one_line(f"{outcome}: {title}{cause.evidence}")}


def _cause_text(record: Record) -> str:
    cause = record.verdict.cause
    text = []
    if cause is not None:
        text.append(one_line(cause.evidence, 2000))
        if record.verdict.outcome is not Outcome.SKIP:
            text.append(f"At fault: {BLAME[cause.cls]} (rule {cause.rule}, phase {cause.phase.value})")
    diagnosis = diagnosis_of(record)
    if diagnosis is not None:
        facts = (
            ("Expected", diagnosis.expected),
            ("Got", diagnosis.got),
            ("To do", diagnosis.advice),
            ("Blocked by", diagnosis.blocked_by),
            ("Cause key", diagnosis.cause_key),
        )
        text += [f"{name}: {one_line(value, 2000)}" for name, value in facts if value]
        text.append(f"Explain: exaworks explain {record.run_id} {shlex.quote(record.case_id)}")
    if record.evidence.reproduce:
        text.append(f"Reproduce: {record.evidence.reproduce}")
    return clean("\n".join(text))


def _facts(line: Line, record: Record) -> Iterator[str]:
    scheduler = record.scheduler
    if is_emulated(record):
        yield "The scheduler was emulated: this result proves nothing about the real one."
    if line.state == "xpass" and record.verdict.cause:
        yield f"Passed although it is listed as a known failure: {one_line(record.verdict.cause.evidence)}"
    yield f"Attempt {record.retries.attempt}" + ("" if record.retries.final else ", not final: another attempt follows")
    if scheduler.job_ids:
        yield one_line(f"Jobs: {', '.join(scheduler.job_ids)}")
    if scheduler.native_state:
        yield one_line(f"Native state: {scheduler.native_state} {scheduler.native_reason or ''}")
    for name, span in _spans(record.timing):
        yield f"{name}: {span.seconds:.3f} s ({clean(span.source)})"


def _spans(timing: Timing) -> Iterator[tuple[str, Span]]:
    for name in ("setup", "queue_wait", "launch", "run", "collect", "teardown"):
        span: Span | None = getattr(timing, name)
        if span is not None:
            yield name, span


def _output(parent: Element, record: Record, limit: int) -> None:
    shown = tail(record.evidence.output_tail, limit)
    if shown:
        SubElement(parent, "system-err").text = shown
