"""The detailed report on a terminal: component by scheduler, then everything that needs attention, then the verdict.

The report itself is ASCII, so that every terminal can print it. Control sequences are removed from the output of
components.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from dashboard_client.schema import IN, Manifest, Record
from sdk_tests.report.text import clean, one_line
from sdk_tests.report.view import (
    EXIT_CODES,
    LABELS,
    MISSING,
    PROBLEMS,
    STATES,
    Line,
    Verdict,
    View,
    cases,
    counted,
    tally,
    view,
)

SHOWN = 3
"""Number of further cases that are listed for one cause; report.html contains all of them."""

LONGEST = 400
"""Characters of a value that the terminal shows; `exaworks explain` prints all of it."""

Painter = Callable[[str, str], str]

_COLOURS = {
    "pass": "32",
    "fail": "1;31",
    "error": "1;31",
    "infra": "1;35",
    MISSING: "1;33",
    "xpass": "33",
    "xfail": "33",
    "skip": "2",
    "emulated": "36",
    "strong": "1",
}


def summary(manifest: Manifest, effective: Mapping[str, Record], *, colour: bool) -> str:
    """Return the report; ``effective`` maps each case id to the record that counts for it."""
    run = view(manifest, effective)
    paint = painter(colour)
    parts = (
        deployments(run),
        _table(run, paint),
        *_problems(run, paint),
        _causes(run, paint),
        _skips(run, paint),
        _end(run, paint),
    )
    return "\n\n".join(part for part in parts if part)


def deployments(run: View) -> str:
    """Return which rows of the table are about which deployment, if the run has several."""
    names = run.deployments()
    if len(run.manifest.deployments) < 2:
        return ""
    text = [f"Deployments ({len(run.manifest.deployments)}); each case counts once in each:"]
    for label, name in sorted(names.items()):
        text.append(f"  {clean(name)}" + (f"   rows 'in {label}', case ids that end in {IN}{label}" if label else ""))
    return "\n".join(text)


def _table(run: View, paint: Painter) -> str:
    from tabulate import tabulate

    schedulers = run.schedulers()
    heads = [clean(name) + (" (emulated)" if run.column_emulated(name) else "") for name in schedulers]
    rows = [[clean(row), *(cell(run.cell(row, name), paint) for name in schedulers)] for row in run.rows()]
    if not rows:
        return "No case was planned."
    return tabulate(rows, ["component", *heads], tablefmt="simple", disable_numparse=True)


def cell(lines: Sequence[Line], paint: Painter) -> str:
    """Return the text of a cell; passes are green only if nothing needs attention and no case ran on an emulator."""
    if not lines:
        return "-"
    counts = {state: sum(line.state == state for line in lines) for state in STATES}
    problems = any(counts[state] for state in PROBLEMS)
    emulated = any(line.emulated for line in lines)
    parts = []
    for state in STATES:
        if counts[state]:
            shade = "" if state == "pass" and problems else "emulated" if state == "pass" and emulated else state
            parts.append(paint(counted(state, counts[state]), shade))
    return " ".join(parts)


def _problems(run: View, paint: Painter) -> Iterator[str]:
    for lines in run.grouped_problems():
        yield "\n".join(problem(lines, paint))


def problem(lines: Sequence[Line], paint: Painter) -> Iterator[str]:
    """Yield the lines about one cause: a case that shows it, what is known, and the other cases of that cause."""
    first, *others = lines
    cause, diagnosis = first.cause, first.diagnosis
    attempts = f" after {len(first.earlier) + 1} attempts" if first.earlier else ""
    head = f"{paint(LABELS[first.state], first.state)}  {paint(clean(first.case_id), 'strong')}{attempts}"
    if cause is None or first.record is None:
        yield head
        yield from (f"{LABELS[line.state]}  {clean(line.case_id)}" for line in others)
        yield "      planned, but without a record"
        return
    title = diagnosis.title if diagnosis is not None else cause.rule
    yield f"{head}   at fault: {cause.cls.value} - {one_line(title, 160)}"
    for name, value in _facts(first):
        yield f"      {name:<9} {one_line(value, LONGEST)}"
    case = shlex.quote(clean(first.case_id))
    yield f"      {'again':<9} exaworks rerun {clean(first.record.run_id)} {case}"
    for line in others[:SHOWN]:
        yield f"      {'also':<9} {LABELS[line.state]} {clean(line.case_id)}"
    if len(others) > SHOWN:
        yield f"      {'':<9} and {len(others) - SHOWN} more, see report.html"


def _facts(line: Line) -> Iterator[tuple[str, str]]:
    """Yield what is known about a case that did not pass: expected, got, the cause, and what to do."""
    cause, diagnosis = line.cause, line.diagnosis
    assert cause is not None
    if diagnosis is not None and diagnosis.expected is not None and diagnosis.got is not None:
        yield "expected", diagnosis.expected
        yield "got", diagnosis.got
    yield "cause", cause.evidence
    if diagnosis is not None and diagnosis.line and diagnosis.line not in cause.evidence:
        yield "", f"{diagnosis.source}: {diagnosis.line}" if diagnosis.source else diagnosis.line
    yield "rule", f"{cause.rule}, phase {cause.phase.value}"
    if diagnosis is not None and diagnosis.advice:
        yield "to do", diagnosis.advice


def _causes(run: View, paint: Painter) -> str:
    """Return the causes with the number of cases that each explains, if there is more than one failure."""
    failures = sum(len(cause.records) for cause in run.causes)
    if failures < 2:
        return ""
    number = len(run.causes)
    text = [paint(f"{number} cause{'s explain' if number > 1 else ' explains'} {failures} failures:", "strong")]
    for place, cause in enumerate(run.causes, 1):
        text.append(
            f"  {place}. {one_line(cause.title, 200)}   ({cases(len(cause.records))})   at fault: {cause.cls.value}"
        )
    return "\n".join(text)


def _skips(run: View, paint: Painter) -> str:
    grouped = run.skips()
    if not grouped:
        return ""
    text = [paint(f"Skipped ({run.counts['skip']})", "strong")]
    for reason, lines in grouped.items():
        rows = ", ".join(dict.fromkeys(f"{line.row}@{line.planned.scheduler}" for line in lines))
        text.append(f"  {len(lines)} x {one_line(reason)}\n      {one_line(rows)}")
    return "\n".join(text)


def _end(run: View, paint: Painter) -> str:
    verdict = run.verdict
    text = [f"{len(run.lines)} planned: {tally(run.counts)}", paint(clean(verdict.title), tone(verdict))]
    if verdict.detail:
        text.append(clean(verdict.detail))
    if run.unplanned:
        text.append(f"{len(run.unplanned)} records of cases that were not planned are not counted.")
    if verdict.exit_code is not None:
        text.append(f"Exit code {verdict.exit_code}: {EXIT_CODES.get(verdict.exit_code, 'unknown')}")
    return "\n".join(text)


def painter(colour: bool) -> Painter:
    """Return the function that gives a text the colour of a tone, or that leaves it as it is."""
    return _paint if colour else _plain


def tone(verdict: Verdict) -> str:
    """Return the tone of a verdict."""
    return "pass" if verdict.good else "infra" if verdict.name == "infra" else "fail"


def _paint(text: str, shade: str) -> str:
    return f"\x1b[{_COLOURS[shade]}m{text}\x1b[0m" if shade else text


def _plain(text: str, shade: str) -> str:
    return text
