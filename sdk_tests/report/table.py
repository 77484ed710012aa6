"""The run on a terminal: component by scheduler, then everything that needs someone to look, then the verdict.

Only ASCII of our own, so that it prints anywhere; what components said is cleaned of anything that drives a terminal.
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
"""Commands that are shown for one cause; the report has them all."""

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
    """Return the table and what follows it; ``effective`` maps each case id to the record that counts for it."""
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
        return "Nothing was planned."
    return tabulate(rows, ["component", *heads], tablefmt="simple", disable_numparse=True)


def _cell(lines: Sequence[Line], paint: _Painter) -> str:
    """Say one cell; its passes are green only where nothing in it needs a look and no emulator carried any."""
    if not lines:
        return "-"
    counts = {state: sum(line.state == state for line in lines) for state in STATES}
    clouded = any(counts[state] for state in PROBLEMS)
    emulated = any(line.emulated for line in lines)
    said = []
    for state in STATES:
        if counts[state]:
            tone = "" if state == "pass" and clouded else "emulated" if state == "pass" and emulated else state
            said.append(paint(counted(state, counts[state]), tone))
    return " ".join(said)


def _problems(run: View, paint: _Painter) -> Iterator[str]:
    for lines in run.grouped_problems():
        yield "\n".join(_problem(lines, paint))


def _problem(lines: Sequence[Line], paint: _Painter) -> Iterator[str]:
    """Say one cause and the cases it took down."""
    for line in lines:
        attempts = f" after {len(line.earlier) + 1} attempts" if line.earlier else ""
        yield f"{paint(LABELS[line.state], line.state)} {paint(clean(line.case_id), 'strong')}{attempts}"
    cause = lines[0].cause
    if cause is None:
        yield "  planned, but no record of it"
    else:
        yield f"  at fault:  {BLAME[cause.cls]} ({clean(cause.rule)}, phase {cause.phase.value})"
        yield f"  evidence:  {one_line(cause.evidence)}"
    commands = [line.record.evidence.reproduce for line in lines if line.record and line.record.evidence.reproduce]
    for number, command in enumerate(commands[:SHOWN]):
        yield f"  {'' if number else 'reproduce:':<10} {indent(clean(command), ' ' * 13).lstrip()}"
    if len(commands) > SHOWN:
        yield f"{'':13}and {len(commands) - SHOWN} more, in the report"


def _skips(run: View, paint: _Painter) -> str:
    grouped = run.skips()
    if not grouped:
        return ""
    said = [paint(f"Skipped ({run.counts['skip']})", "strong")]
    for reason, lines in grouped.items():
        rows = ", ".join(dict.fromkeys(f"{line.row}@{line.planned.scheduler}" for line in lines))
        said.append(f"  {len(lines)} x {one_line(reason)}\n      {one_line(rows)}")
    return "\n".join(said)


def _end(run: View, paint: _Painter) -> str:
    verdict = run.verdict
    tone = "pass" if verdict.good else "infra" if verdict.word == "infra" else "fail"
    said = [f"{len(run.lines)} planned: {tally(run.counts)}", paint(clean(verdict.title), tone)]
    if verdict.detail:
        said.append(clean(verdict.detail))
    if run.unplanned:
        said.append(f"{len(run.unplanned)} records of cases that were not planned are left out.")
    if verdict.exit_code is not None:
        said.append(f"Exit code {verdict.exit_code}: {EXIT_CODES.get(verdict.exit_code, 'not one of this project')}")
    return "\n".join(said)


def _paint(text: str, tone: str) -> str:
    return f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m" if tone else text


def _plain(text: str, tone: str) -> str:
    return text
