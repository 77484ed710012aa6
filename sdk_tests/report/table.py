"""The report on a terminal: component by scheduler, then everything that needs attention, then the verdict.

The report itself is ASCII, so that every terminal can print it. Control sequences are removed from the output of
components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import indent

from dashboard_client.schema import Manifest, Record
from sdk_tests.report.text import clean, one_line
from sdk_tests.report.view import (
    BLAME,
    EXIT_CODES,
    LABELS,
    MISSING,
    PROBLEMS,
    STATES,
    Line,
    View,
    counted,
    tally,
    view,
)

SHOWN = 3
"""Number of commands that are shown for one cause; report.html contains all of them."""

_Painter = Callable[[str, str], str]

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
    paint = _paint if colour else _plain
    parts = (_table(run, paint), *_problems(run, paint), _skips(run, paint), _end(run, paint))
    return "\n\n".join(part for part in parts if part)


def _table(run: View, paint: _Painter) -> str:
    from tabulate import tabulate

    schedulers = run.schedulers()
    heads = [clean(name) + (" (emulated)" if run.column_emulated(name) else "") for name in schedulers]
    rows = [[clean(row), *(_cell(run.cell(row, name), paint) for name in schedulers)] for row in run.rows()]
    if not rows:
        return "No case was planned."
    return tabulate(rows, ["component", *heads], tablefmt="simple", disable_numparse=True)


def _cell(lines: Sequence[Line], paint: _Painter) -> str:
    """Return the text of a cell; passes are green only if nothing needs attention and no case ran on an emulator."""
    if not lines:
        return "-"
    counts = {state: sum(line.state == state for line in lines) for state in STATES}
    problems = any(counts[state] for state in PROBLEMS)
    emulated = any(line.emulated for line in lines)
    parts = []
    for state in STATES:
        if counts[state]:
            tone = "" if state == "pass" and problems else "emulated" if state == "pass" and emulated else state
            parts.append(paint(counted(state, counts[state]), tone))
    return " ".join(parts)


def _problems(run: View, paint: _Painter) -> Iterator[str]:
    for lines in run.grouped_problems():
        yield "\n".join(_problem(lines, paint))


def _problem(lines: Sequence[Line], paint: _Painter) -> Iterator[str]:
    """Yield the lines about one cause and the cases that failed because of it."""
    for line in lines:
        attempts = f" after {len(line.earlier) + 1} attempts" if line.earlier else ""
        yield f"{paint(LABELS[line.state], line.state)} {paint(clean(line.case_id), 'strong')}{attempts}"
    cause = lines[0].cause
    if cause is None:
        yield "  planned, but without a record"
    else:
        yield f"  at fault:  {BLAME[cause.cls]} ({clean(cause.rule)}, phase {cause.phase.value})"
        yield f"  evidence:  {one_line(cause.evidence)}"
    commands = [line.record.evidence.reproduce for line in lines if line.record and line.record.evidence.reproduce]
    for number, command in enumerate(commands[:SHOWN]):
        yield f"  {'' if number else 'reproduce:':<10} {indent(clean(command), ' ' * 13).lstrip()}"
    if len(commands) > SHOWN:
        yield f"{'':13}and {len(commands) - SHOWN} more, see report.html"


def _skips(run: View, paint: _Painter) -> str:
    grouped = run.skips()
    if not grouped:
        return ""
    text = [paint(f"Skipped ({run.counts['skip']})", "strong")]
    for reason, lines in grouped.items():
        rows = ", ".join(dict.fromkeys(f"{line.row}@{line.planned.scheduler}" for line in lines))
        text.append(f"  {len(lines)} x {one_line(reason)}\n      {one_line(rows)}")
    return "\n".join(text)


def _end(run: View, paint: _Painter) -> str:
    verdict = run.verdict
    tone = "pass" if verdict.good else "infra" if verdict.name == "infra" else "fail"
    text = [f"{len(run.lines)} planned: {tally(run.counts)}", paint(clean(verdict.title), tone)]
    if verdict.detail:
        text.append(clean(verdict.detail))
    if run.unplanned:
        text.append(f"{len(run.unplanned)} records of cases that were not planned are not counted.")
    if verdict.exit_code is not None:
        text.append(f"Exit code {verdict.exit_code}: {EXIT_CODES.get(verdict.exit_code, 'unknown')}")
    return "\n".join(text)


def _paint(text: str, tone: str) -> str:
    return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if tone else text


def _plain(text: str, tone: str) -> str:
    return text
