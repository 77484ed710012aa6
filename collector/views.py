"""What the templates draw, worked out beforehand: words, ages, and the places of things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collector.outcomes import MISSING, ORDER, PASS, WORD, counts, worst
from collector.queries import row_record_id
from dashboard_client.schema import Closing, Manifest, Record, record_id

GLYPH = {"pass": "✓", "fail": "✕", "error": "!", "infra": "⚡", "skip": "⊘", "xfail": "~", "xpass": "?", "missing": "○"}
GLYPH |= {"pending": "…"}

PHASES = ("setup", "queue_wait", "launch", "run", "collect", "teardown")


@dataclass(frozen=True)
class Tile:
    """One cell of a matrix: what stands for it, and of how many cases it is made."""

    word: str
    counts: dict[str, int]
    age: str = ""
    began: int | None = None
    run_id: str = ""
    anchor: str = ""
    version: str | None = None
    emulated: int = 0
    stale: bool = False

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def said(self) -> str:
        """The counts in words, for those who do not see colours."""
        return ", ".join(f"{number} {word}" for word, number in self.counts.items())


@dataclass(frozen=True)
class Grid:
    """A matrix of tiles: rows by name, columns by name, either may be absent at a crossing."""

    columns: list[tuple[str, ...]]
    rows: list[tuple[str, dict[tuple[str, ...], Tile]]]


@dataclass
class CaseLine:
    """One planned or reported case of a run."""

    case_id: str
    word: str
    scheduler: str
    record_id: str | None = None
    cause: str = ""
    rule: str = ""
    phase: str = ""
    evidence: str = ""
    queue_wait: float | None = None
    seconds: float | None = None
    attempts: int = 0
    emulated: bool = False
    planned: bool = True


@dataclass
class RunView:
    """A run page."""

    run: Any
    manifest: Manifest | None
    line: dict[str, Any]
    grid: Grid
    groups: list[tuple[str, list[CaseLine]]]
    attention: list[CaseLine]
    notices: list[str] = field(default_factory=list)


def now_grid(rows: Iterable[Any], now: int) -> Grid:
    """Lay out the board: a row a component or pair, a column a system."""
    tiles: dict[str, dict[tuple[str, ...], Tile]] = {}
    columns: set[tuple[str, ...]] = set()
    for row in rows:
        place = (row.site, row.name)
        columns.add(place)
        stale = row.stale_after is not None and now - row.started > row.stale_after * 1000
        tiles.setdefault(row.subject, {})[place] = Tile(
            word=WORD[row.worst],
            counts=counts(row.outcomes),
            age=age(now - row.started),
            began=row.started,
            run_id=row.run_id,
            anchor=anchor(row.subject),
            version=row.version,
            emulated=row.emulated,
            stale=stale,
        )
    return Grid(columns=sorted(columns), rows=sorted(tiles.items(), key=lambda item: _control_first(item[0])))


def run_lines(rows: Iterable[Any], now: int) -> list[dict[str, Any]]:
    """Describe runs in a line each."""
    return [_run_line(row, now) for row in rows]


def run_view(run: Any, manifest: Manifest | None, cells: Sequence[Any], records: Sequence[Any], now: int) -> RunView:
    """Describe a run: each case with its effective attempt, grouped by component, and the matrix of them."""
    effective: dict[int, Any] = {}
    tries: dict[int, int] = {}
    for record in records:
        effective[record.cell] = record
        tries[record.cell] = tries.get(record.cell, 0) + 1
    planned = len(manifest.planned) if manifest is not None else 0
    groups: dict[str, list[CaseLine]] = {}
    crossing: dict[str, dict[tuple[str, ...], str]] = {}
    emulated: dict[tuple[str, str], int] = {}
    for place, (cell, outcome) in enumerate(zip(cells, run.outcomes, strict=True)):
        line = _case_line(run, cell, outcome, effective.get(cell.id), tries.get(cell.id, 0))
        line.planned = place < planned or manifest is None
        groups.setdefault(cell.subject, []).append(line)
        there = crossing.setdefault(cell.subject, {})
        there[cell.scheduler,] = there.get((cell.scheduler,), "") + outcome
        emulated[cell.subject, cell.scheduler] = emulated.get((cell.subject, cell.scheduler), 0) + line.emulated
    tiles = {
        subject: {
            column: Tile(
                word=_shown(run, outcomes),
                counts=_counts(run, outcomes),
                anchor=anchor(subject),
                emulated=emulated[subject, column[0]],
            )
            for column, outcomes in there.items()
        }
        for subject, there in crossing.items()
    }
    columns = sorted({column for there in tiles.values() for column in there})
    grid = Grid(columns=columns, rows=sorted(tiles.items(), key=lambda item: _control_first(item[0])))
    ordered = sorted(groups.items(), key=lambda item: _control_first(item[0]))
    return RunView(run, manifest, _run_line(run, now), grid, ordered, _attention(ordered), _notices(run, manifest))


def record_view(row: Any, record: Record | None, attempts: Sequence[Any], now: int) -> dict[str, Any]:
    """Describe one record; where its body is gone, what its row still says."""
    spans = []
    offset = 0.0
    if record is not None:
        for phase in PHASES:
            span = getattr(record.timing, phase)
            spans.append({"phase": phase, "span": span, "offset": offset})
            offset += max(span.seconds, 0.0) if span is not None else 0.0
    for span in spans:
        length = max(span["span"].seconds, 0.0) if span["span"] is not None else 0.0
        span["x"] = round(1000 * span["offset"] / offset, 2) if offset else 0
        span["width"] = round(max(1000 * length / offset, 1.5), 2) if offset and length else 0
    others = [
        {
            "attempt": other.attempt,
            "word": WORD[other.outcome],
            "record_id": record_id(row.site, row.system, row.run_id, row.case_id, other.attempt),
        }
        for other in attempts
    ]
    when = row.ended or row.started or row.received
    return {
        "row": row,
        "record": record,
        "record_id": row_record_id(row),
        "word": WORD[row.outcome],
        "spans": spans,
        "total": offset,
        "attempts": others,
        "age": age(now - when),
        "when": when,
    }


def age(ms: int) -> str:
    """Say how long ago, in the one unit that matters."""
    left = max(ms, 0) / 1000
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48), ("d", 86400, 10**9)):
        if left < size * limit:
            return f"{int(left / size)} {unit}"
    return "long ago"


def seconds(value: float | None) -> str:
    """Write a duration; unknown is a dash, never zero."""
    if value is None:
        return "—"
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def anchor(subject: str) -> str:
    """Name a place on the run page."""
    return "c-" + "".join(char if char.isalnum() else "-" for char in subject)


def _run_line(row: Any, now: int) -> dict[str, Any]:
    shown = _counts(row, row.outcomes)
    total = len(row.outcomes)
    bar, x = [], 0.0
    for word, number in shown.items():
        bar.append({"word": word, "x": round(x, 2), "width": round(100 * number / total, 2)})
        x += 100 * number / total
    return {
        "run_id": row.run_id,
        "site": row.site,
        "system": row.system,
        "started": row.started,
        "age": age(now - row.started),
        "took": seconds((row.ended - row.started) / 1000) if row.ended is not None else None,
        "trigger": row.trigger,
        "tier": row.tier,
        "release": row.release,
        "partial": row.partial and row.digest is not None,
        "state": row.state or "open",
        "exit_code": row.exit_code,
        "word": _shown(row, row.outcomes) if total else "pending",
        "counts": shown,
        "total": total,
        "bar": bar,
    }


def _shown(run: Any, outcomes: str) -> str:
    """Return the word for a group of cases; what an open run still owes is pending, not missing."""
    if run.state is None and MISSING in outcomes:
        reported = outcomes.replace(MISSING, "")
        bad = worst(reported) if reported else ""
        return WORD[bad] if bad and ORDER.index(bad) < ORDER.index(MISSING) else "pending"
    return WORD[worst(outcomes)]


def _counts(run: Any, outcomes: str) -> dict[str, int]:
    found = counts(outcomes)
    if run.state is None and "missing" in found:
        found["pending"] = found.pop("missing")
    return found


def _case_line(run: Any, cell: Any, outcome: str, record: Any, tries: int) -> CaseLine:
    word = _shown(run, outcome)
    if record is None:
        return CaseLine(cell.case_id, word, cell.scheduler)
    return CaseLine(
        case_id=cell.case_id,
        word=word,
        scheduler=cell.scheduler,
        record_id=record_id(run.site, run.system, run.run_id, cell.case_id, record.attempt),
        cause=record.cause or "",
        rule=record.rule or "",
        phase=record.phase or "",
        evidence=record.evidence or "",
        queue_wait=record.queue_wait,
        seconds=record.seconds,
        attempts=tries,
        emulated=record.emulated,
    )


def _attention(groups: Iterable[tuple[str, list[CaseLine]]]) -> list[CaseLine]:
    """Return what outweighs a pass, worst first."""
    rank = {WORD[char]: place for place, char in enumerate(ORDER[: ORDER.index(PASS)])}
    found = [line for _, lines in groups for line in lines if line.word in rank]
    return sorted(found, key=lambda line: rank[line.word])


def _notices(run: Any, manifest: Manifest | None) -> list[str]:
    notices = []
    if manifest is None:
        notices.append("The manifest of this run has not come: what was planned, and so what is missing, is not known.")
    if run.state == "interrupted":
        notices.append("This run was interrupted; resuming it completes it.")
    if run.closing is not None and manifest is not None:
        told = msgspec.json.decode(run.closing, type=Closing).recorded
        here = len(run.outcomes[: len(manifest.planned)].replace(MISSING, ""))
        if told > here:
            notices.append(f"The run counted {told} recorded cases, {here} have come: push its results again.")
    if run.state is not None and run.outcomes and PASS not in run.outcomes:
        notices.append("Nothing passed in this run.")
    return notices


def _control_first(subject: str) -> tuple[bool, str]:
    return subject != "control", subject
