"""The report that a facility keeps and signs: one self-contained page without scripts and without external files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dashboard_client.schema import Manifest, Record, Span, Timing, canonical, digest
from sdk_tests.model.timeline import Timeline
from sdk_tests.report import gantt
from sdk_tests.report.critical_path import critical_path
from sdk_tests.report.environment import environment, named
from sdk_tests.report.figures import figures
from sdk_tests.report.gaps import gaps
from sdk_tests.report.text import clean, one_line, tail, time_span
from sdk_tests.report.view import (
    BLAME,
    EXIT_CODES,
    LABELS,
    MISSING,
    PROBLEMS,
    STATES,
    Line,
    View,
    cases,
    counted,
    place,
    view,
)

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from dashboard_client.compare import Comparison

_MEANINGS = {
    "pass": "Every assertion about the payload's answer held.",
    "fail": "An assertion failed, or something promised is missing or has another version.",
    "error": "No verdict could be reached, and nothing shows that the site is at fault.",
    "infra": "The case got no verdict, and evidence shows that the site or its scheduler is at fault.",
    MISSING: "Planned, but without a record. Counts as a failure.",
    "xpass": "Passed although it is listed as a known failure: the listing is out of date.",
    "xfail": "Failed as expected: a known defect of upstream, or a valid waiver.",
    "skip": "Not run, because nobody promised it; the reason states what was looked for and where.",
}
_SIGNS = {"pass": "✓", "fail": "✗", "error": "!", "infra": "▲", MISSING: "?", "xpass": "✓", "xfail": "~", "skip": "○"}
_BAR = 90
"""Width of the longest bar in the table of all cases, in pixels."""


@dataclass(frozen=True)
class Part:
    """The results of one component on one scheduler."""

    row: str
    scheduler: str
    emulated: bool
    counts: Counter[str]

    @property
    def tone(self) -> str:
        """The CSS class of the cell: its worst state; a pass only if nothing needs attention."""
        for state in PROBLEMS:
            if self.counts[state]:
                return state
        for state in ("xpass", "pass"):
            if self.counts[state]:
                return "emulated" if self.emulated else state
        return "xfail" if self.counts["xfail"] else "skip"

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(state, counted(state, self.counts[state])) for state in STATES if self.counts[state]]


def report_html(
    manifest: Manifest,
    records: Sequence[Record],
    *,
    comparison: Comparison | None = None,
    timeline: Timeline | None = None,
) -> Iterator[str]:
    """Yield the page in parts; with a comparison it also shows what changed since the last run that passed.

    timeline: of the session that ran the cases; with it, the page shows where the time went.
    """
    from markupsafe import Markup

    run = view(manifest, records)
    path = critical_path(timeline) if timeline is not None else None
    templates = _templates()
    style, _, _ = templates.loader.get_source(templates, "report.css")  # type: ignore[union-attr]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Only our own style sheet is not escaped; the content policy of the page allows it by its digest.
    yield from templates.get_template("report.html").generate(
        style=Markup(style),  # noqa: S704
        style_digest=allowed,
        run=run,
        manifest=manifest,
        verdict=run.verdict,
        environment=environment(run),
        parts=_parts(run),
        short=_short(run),
        blamed=_blamed(run),
        known=[line for line in run.lines if line.state in ("xfail", "xpass")],
        numbers={line.case_id: number for number, line in enumerate(run.lines, 1)},
        bars=_bars(run),
        figures=figures(run),
        gaps=gaps(run),
        emulated={line.case_id for line in run.lines if line.emulated},
        place=place(manifest),
        seal=seal(manifest, records),
        comparison=comparison,
        timeline=timeline,
        path=path,
        gantt=gantt.gantt(timeline, path.chain if path else ()) if timeline is not None and timeline.bars else None,
        width=gantt.WIDTH,
        left=gantt.LEFT,
        top=gantt.TOP,
        meaning=EXIT_CODES.get(run.verdict.exit_code) if run.verdict.exit_code is not None else None,
        labels=LABELS,
        bar=_BAR,
        meanings=_MEANINGS,
        signs=_SIGNS,
        states=STATES,
        missing=MISSING,
        blame=BLAME,
    )


def seal(manifest: Manifest, records: Sequence[Record]) -> str | None:
    """Return the sha256 over the digests of the manifest and the records, one digest per line.

    It ties a signature on paper to exactly these records. None if a value cannot be encoded.
    """
    try:
        lines = [digest(canonical(manifest)), *sorted({digest(canonical(record)) for record in records})]
    except ValueError:
        return None
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def duration(span: Span | None) -> str:
    """Write a duration for people, with a mark if the scheduler measured it; an unknown one is a dash, never zero."""
    if span is None:
        return "—"
    text = time_span(span.seconds)
    return f"{text}†" if span.source == "scheduler" else text


def _finalize(value: Any) -> Any:
    """Clean every value that the template prints; Jinja2 escapes it afterwards."""
    return clean(value) if type(value) is str else value


@lru_cache(maxsize=1)
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("sdk_tests.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    templates.filters.update(
        attempt_facts=_attempt_facts,
        breakable=_breakable,
        cases=cases,
        counted=_counted,
        counted_state=counted,
        duration=duration,
        instant=_instant,
        named=named,
        span=time_span,
        tail=tail,
    )
    return templates


def _instant(text: str | None) -> str:
    """Write a recorded instant in a readable form."""
    return text.replace("T", " ").replace("Z", " UTC") if text else "—"


def _breakable(case_id: str) -> Markup:
    """Allow line breaks in a long case id after its separators."""
    from markupsafe import Markup, escape

    return Markup("").join(
        escape(part) + Markup("<wbr>") if part in "/@:+=" else escape(part)
        for part in re.split("([/@:+=])", clean(case_id))
        if part
    )


def _attempt_facts(record: Record, line: Line) -> list[tuple[str, str]]:
    """Return what is known about an attempt that did not pass: jobs, nodes, state, exit code, earlier attempts."""
    scheduler = record.scheduler
    native = " ".join(part for part in (scheduler.native_state, scheduler.native_reason) if part)
    before = "; ".join(
        f"{LABELS[attempt.verdict.outcome.value]}: {one_line(attempt.verdict.cause.evidence)}"
        for attempt in line.earlier
        if attempt.verdict.cause
    )
    facts = (
        ("Jobs", ", ".join(scheduler.job_ids)),
        ("Nodes", ", ".join(record.context.nodes)),
        ("Native state", native),
        ("Exit code", "" if scheduler.exit_code is None else str(scheduler.exit_code)),
        ("Signal", "" if scheduler.signal is None else str(scheduler.signal)),
        ("Attempt", f"{record.retries.attempt}, after {before}" if before else ""),
        ("Not final", "" if record.retries.final else "another attempt follows"),
    )
    return [(name, value) for name, value in facts if value]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _parts(run: View) -> dict[tuple[str, str], Part]:
    """Return the matrix: one part for each planned combination of component and scheduler."""
    grouped: dict[tuple[str, str], list[Line]] = {}
    for line in run.lines:
        grouped.setdefault((line.row, line.planned.scheduler), []).append(line)
    return {
        (row, scheduler): Part(
            row, scheduler, any(line.emulated for line in lines), Counter(line.state for line in lines)
        )
        for (row, scheduler), lines in grouped.items()
    }


def _short(run: View) -> dict[str, dict[str, list[Part]]]:
    """Return what works, what does not work and what was not run, each by scheduler."""
    short: dict[str, dict[str, list[Part]]] = {"works": {}, "broken": {}, "untried": {}}
    order = run.schedulers()
    for part in sorted(_parts(run).values(), key=lambda part: order.index(part.scheduler)):
        bad = any(part.counts[state] for state in PROBLEMS)
        good = part.counts["pass"] + part.counts["xpass"]
        key = "broken" if bad else "works" if good else "untried"
        short[key].setdefault(part.scheduler, []).append(part)
    return short


def _blamed(run: View) -> list[tuple[str, int]]:
    """Return who is at fault for how many cases, most cases first; missing cases are not counted."""
    cases_by_fault = Counter(BLAME[line.cause.cls] for line in run.problems if line.cause)
    return cases_by_fault.most_common()


def _bars(run: View) -> dict[str, list[tuple[str, float, float]]]:
    """Return the bar of each case in the table of all cases: kind, left edge and width of each known duration."""
    spans = {line.case_id: _spans(line.record.timing) for line in run.lines if line.record}
    longest = max((sum(seconds for _, seconds in parts) for parts in spans.values()), default=0.0)
    bars: dict[str, list[tuple[str, float, float]]] = {}
    for case_id, parts in spans.items():
        left = 0.0
        for kind, seconds in parts:
            width = max(round(seconds / longest * _BAR, 1), 0.7) if longest else 0.0
            bars.setdefault(case_id, []).append((kind, round(left, 1), width))
            left += width
    return bars


def _spans(timing: Timing) -> list[tuple[str, float]]:
    spans = (("queue", timing.queue_wait), ("launch", timing.launch), ("run", timing.run))
    return [(kind, span.seconds) for kind, span in spans if span]
