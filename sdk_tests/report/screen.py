"""The end of a run on a terminal, on one screen: verdict, what works, what does not, what was not tested.

`exaworks validate -v` prints the detailed report of ``table`` in its place. ASCII only, as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dashboard_client.schema import Manifest, Record
from sdk_tests.model.timeline import PRIVATE, Timeline
from sdk_tests.report.critical_path import critical_path
from sdk_tests.report.not_tested import not_tested, rows, undone
from sdk_tests.report.table import Painter, cell, deployments, painter, problem, tone
from sdk_tests.report.text import clean, one_line, time_span
from sdk_tests.report.view import LABELS, Line, View, cases, tally, view

IN_DETAIL = 2
"""Causes of failures that are shown in detail; each further one has a line."""

CHAIN = 3
"""Cases of the critical path that are named; report.html names all."""

MOST_CAUSES = 8
"""Causes that are shown at all; `exaworks explain` prints the others."""


def screen(manifest: Manifest, effective: Mapping[str, Record], folder: Path, *, colour: bool, dashboard: bool) -> str:
    """Return the end of a run. dashboard: whether its results are in a collector on this machine."""
    run = view(manifest, effective)
    paint = painter(colour)
    parts = (
        verdict_lines(run, colour=colour),
        deployments(run),
        _works(run, paint),
        _problems(run, paint),
        _not_tested(run, paint),
        "\n".join(_places(run, folder, dashboard)),
    )
    return "\n\n".join(part for part in parts if part)


def short_verdict(manifest: Manifest, effective: Mapping[str, Record], *, colour: bool) -> str:
    """Return the verdict of a run alone, and the next command if it did not pass."""
    run = view(manifest, effective)
    following = next_command(run)
    return "\n".join([verdict_lines(run, colour=colour), *([f"next: {following}"] if following else [])])


def verdict_lines(run: View, *, colour: bool) -> str:
    """Return the verdict, and what must be known in addition to it."""
    verdict = run.verdict
    lines = [painter(colour)(clean(verdict.title), tone(verdict))]
    if verdict.detail and next_command(run) not in verdict.detail:
        lines.append(clean(verdict.detail))
    if run.unplanned:
        lines.append(f"{len(run.unplanned)} records of cases that were not planned are not counted.")
    return "\n".join(lines)


def next_command(run: View) -> str:
    """Return the one command to use next, after a run that did not pass; otherwise an empty text."""
    name, run_id = run.verdict.name, clean(run.manifest.run_id)
    if run.verdict.good:
        return ""
    if name in ("interrupted", "unfinished"):
        return f"exaworks validate --resume {run_id}"
    if name == "nothing-passed" and not run.problems:
        return "exaworks doctor"
    return f"exaworks explain {run_id}"


def _works(run: View, paint: Painter) -> str:
    """Return the table of what ran: only schedulers and components with a case that ran."""
    from tabulate import tabulate

    ran = [line for line in run.lines if line.state != "skip"]
    schedulers = [name for name in run.schedulers() if any(line.planned.scheduler == name for line in ran)]
    names = [row for row in run.rows() if any(line.row == row for line in ran)]
    if not names:
        return "No case was planned." if not run.lines else ""
    heads = [clean(name) + (" (emulated)" if run.column_emulated(name) else "") for name in schedulers]
    table = [[clean(row), *(cell(run.cell(row, name), paint) for name in schedulers)] for row in names]
    return tabulate(table, ["component", *heads], tablefmt="simple", disable_numparse=True)


def _problems(run: View, paint: Painter) -> str:
    """Return the causes of failures: the first ones in detail, then a line each."""
    every = run.grouped_problems()
    stopped = [line for lines in every if _was_stopped(lines[0]) for line in lines]
    grouped = sorted((lines for lines in every if not _was_stopped(lines[0])), key=lambda lines: -len(lines))
    blocks = ["\n".join(problem(lines, paint)) for lines in grouped[:IN_DETAIL]]
    rest = [_one_cause(lines, paint) for lines in grouped[IN_DETAIL:MOST_CAUSES]]
    if len(grouped) > MOST_CAUSES:
        rest.append(f"and {len(grouped) - MOST_CAUSES} more causes, see report.html")
    if stopped:
        rest.append(f"{paint(cases(len(stopped)), 'error')} had not ended when the run was stopped")
    return "\n\n".join([*blocks, *(["\n".join(rest)] if rest else [])])


def took_line(timeline: Timeline | None) -> str:
    """Return how long a run took, compared with its critical path; nothing if that is unknown."""
    path = critical_path(timeline) if timeline is not None else None
    if timeline is None or path is None or path.ratio_of_cases is None:
        return ""
    total, set_up, cases = (time_span(each) for each in (path.wall, path.set_up, path.wall - path.set_up))
    times = f"{total}: set-up {set_up}, cases {cases}, {path.ratio_of_cases:.2f} times"
    return f"{times} their critical path of {time_span(path.seconds)} ({one_line(path.brief(CHAIN), 160)})"


def _was_stopped(line: Line) -> bool:
    """Return whether a case has no verdict only because the run was stopped."""
    return line.record is not None and not line.record.retries.final and line.state == "error"


def _one_cause(lines: list[Line], paint: Painter) -> str:
    first = lines[0]
    text = f"{paint(LABELS[first.state], first.state)}  {clean(first.case_id)}"
    if first.cause is not None:
        title = first.diagnosis.title if first.diagnosis is not None else first.cause.rule
        text += f"   at fault: {first.cause.cls.value} - {one_line(title, 80)}"
    return text + (f"   ({cases(len(lines))})" if len(lines) > 1 else "")


def _not_tested(run: View, paint: Painter) -> str:
    entries = not_tested(undone(run.lines))
    if not entries:
        return ""
    number = sum(entry.cases for entry in entries)
    return "\n".join([paint(f"Not tested ({number} of {cases(len(run.lines))}):", "strong"), *rows(entries)])


def _places(run: View, folder: Path, dashboard: bool) -> Iterator[str]:
    code = run.verdict.exit_code
    yield f"counts:    {tally(run.counts)}" + (f"   exit code {code}" if code is not None else "")
    took = took_line(Timeline.read(folder / PRIVATE))
    if took:
        yield f"time:      {took}"
    if (folder / "report.html").exists():
        yield f"report:    {folder / 'report.html'}"
    yield f"results:   {folder}"
    if dashboard:
        yield "dashboard: exaworks collector serve"
    if next_command(run):
        yield f"next:      {next_command(run)}"
