"""JUnit XML in the flavour pytest calls xunit2, as GitLab and Jenkins read it: one suite a scheduler, one case a cell.

GitLab shows the text of a failure and not its message, and knows no properties of a single case: so the text repeats
the cause, and what belongs to one case (job ids, times, attempts) is in its system-out; what the component printed is
in system-err.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

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
"""The element that tells each state; a pass and an unexpected pass have none."""

PASS_TAIL = 2_048
"""Characters of the output of a case that passed; nobody looks for more there."""


def junit_xml(manifest: Manifest, records: Sequence[Record]) -> str:
    """Return the run as JUnit XML; every planned case is in it exactly once, so its counts add up to the planned cases.

    The time of a case is its payload's run time and is absent where unknown. Earlier attempts are ``flakyFailure`` and
    ``flakyError`` of a case that passed in the end, else ``rerunFailure`` and ``rerunError``.
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
    began = [line.record.timing.submitted or line.record.timing.started for line in lines if line.record]
    return {
        "name": clean(_suite_name(scheduler, any(line.emulated for line in lines))),
        "tests": str(len(lines)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "skipped": str(elements.count("skipped")),
        "time": f"{sum(span.seconds for span in spans if span):.3f}",
        "timestamp": clean(min((instant for instant in began if instant), default=run.manifest.started)),
        "hostname": clean(place(run.manifest)),
    }


def _suite_name(scheduler: str, emulated: bool) -> str:
    return f"{scheduler} (emulated)" if emulated else scheduler


def _properties(run: View, scheduler: str, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """What the suite ran on; only of its own records, so that two schedulers may differ."""
    manifest, about = run.manifest, environment(View(run.manifest, tuple(lines)))
    yield "run_id", manifest.run_id
    yield "site", manifest.site
    yield "system", manifest.system
    yield "scheduler", ", ".join(map(named, about.schedulers)) or scheduler
    yield "trigger", manifest.trigger
    yield "started", manifest.started
    yield "release", manifest.release or "none"
    yield "harness", " ".join(filter(None, (manifest.harness.version, manifest.harness.commit)))
    for deployment in manifest.deployments:
        yield f"deployment.{deployment.name}", f"{deployment.kind} {deployment.digest}"
    several = len(about.deployments) > 1
    for name, components in about.deployments.items():
        for component in components:
            key = f"component.{name}.{component.name}" if several else f"component.{component.name}"
            yield key, component.version or "unknown"
    for key, values in (("python", about.python), ("mpi", about.mpi), ("modules", about.modules)):
        if values:
            yield key, ", ".join(values)
    if about.launchers:
        yield "launcher", ", ".join(map(named, about.launchers))
    yield "verdict", run.verdict.word
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
        told = SubElement(case, element, type=MISSING, message="missing: planned, but no record of it")
        told.text = clean(
            f"No attempt at it was recorded. Run what is missing with: exaworks validate --resume {run_id}"
        )
    elif element and record is not None:
        told = SubElement(case, element, _cause_attributes(record))
        told.text = _cause_text(record)
    kind = "flaky" if line.state in ("pass", "xpass") else "rerun"
    for attempt in line.earlier:
        what = "Failure" if attempt.verdict.outcome.value == "fail" else "Error"
        again = SubElement(case, kind + what, _cause_attributes(attempt))
        SubElement(again, "stackTrace").text = _cause_text(attempt)
        _output(again, attempt, TAIL)
    if record is not None:
        SubElement(case, "system-out").text = "\n".join(_facts(line, record))
        _output(case, record, TAIL if element else PASS_TAIL)


def _cause_attributes(record: Record) -> dict[str, str]:
    cause, outcome = record.verdict.cause, record.verdict.outcome.value
    if cause is None:
        return {"type": outcome, "message": outcome}
    kind = f"{outcome}.{cause.cls.value}.{cause.rule}"
    return {"type": clean(kind), "message": one_line(f"{outcome}: {cause.evidence}")}


def _cause_text(record: Record) -> str:
    cause = record.verdict.cause
    said = []
    if cause is not None:
        said.append(one_line(cause.evidence, 2000))
        if record.verdict.outcome is not Outcome.SKIP:
            said.append(f"At fault: {BLAME[cause.cls]} (rule {cause.rule}, phase {cause.phase.value})")
    if record.evidence.reproduce:
        said.append(f"Reproduce: {record.evidence.reproduce}")
    return clean("\n".join(said))


def _facts(line: Line, record: Record) -> Iterator[str]:
    scheduler = record.scheduler
    if is_emulated(record):
        yield "The scheduler was emulated: this says nothing of the real one."
    if line.state == "xpass" and record.verdict.cause:
        yield f"Passed although listed as known to fail: {one_line(record.verdict.cause.evidence)}"
    yield f"Attempt {record.retries.attempt}" + (
        "" if record.retries.final else ", not final: another one is still owed"
    )
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
