"""The Gantt chart of a run: a lane for each slot that cases used, and what the time of each case consisted of."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sdk_tests.model.timeline import Bar, Timeline
from sdk_tests.plan.target import shared

LANES = 80
"""Lanes that are drawn; a run with more slots has the first of them drawn."""
ROWS = 500
"""Attempts that the table beside the chart lists."""
PHASES = ("queue", "launch", "run", "teardown")
LEFT, WIDTH, TOP, PITCH, HEIGHT = 150.0, 1000.0, 26.0, 17.0, 12.0
"""Units of the drawing: space for names, whole width, space for the axis, distance and height of the lanes."""
NARROW = 0.6
"""Neighbours of one kind that are narrower than this are drawn as one."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds between two marks of the axis."""


@dataclass(frozen=True)
class Segment:
    """One part of an attempt, in seconds since the start of the command."""

    phase: str
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class Drawn:
    """A rectangle of the drawing. marked: whether it is on the critical path. text: what it shows, for a pointer."""

    phase: str
    x: float
    width: float
    text: str
    marked: bool = False


@dataclass(frozen=True)
class Lane:
    """One slot. y: the top of its rectangles."""

    name: str
    y: float
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True)
class Row:
    """One attempt in the table: its slot, its case, its start and the seconds of each phase; None if unknown."""

    lane: str
    case_id: str
    attempt: int
    started: float
    seconds: tuple[float | None, ...]


@dataclass(frozen=True)
class Gantt:
    """The chart and its table. marks: place and text of each mark of the axis. left_out: slots that are not drawn."""

    lanes: tuple[Lane, ...]
    marks: tuple[tuple[float, str], ...]
    unit: str
    height: float
    rows: tuple[Row, ...]
    left_out: int
    attempts: int


def gantt(timeline: Timeline, path: Collection[str] = ()) -> Gantt:
    """Return the chart of a run. path: the cases of its critical path, which are marked."""
    path = frozenset(path)
    lanes = _lanes(timeline)
    seconds = max(timeline.seconds, 1e-3)
    scale = (WIDTH - LEFT - 10) / seconds
    steps = [Segment("setup", step.started - timeline.began, step.ended - timeline.began) for step in timeline.steps]
    own = tuple(
        Drawn("setup", _x(part.started, scale), _w(part, scale), f"{step.name}: {part.seconds:.1f} s")
        for step, part in zip(timeline.steps, steps, strict=True)
    )
    drawn, rows = [Lane("harness", TOP, own)], []
    for name, members in lanes:
        rectangles = []
        for number, (bar, parts) in enumerate(members):
            following = members[number + 1][1][0].started if number + 1 < len(members) else math.inf
            parts = _clipped(parts, following)
            rows.append(_row(name, bar, parts))
            rectangles += [
                Drawn(each.phase, _x(each.started, scale), _w(each, scale), _text(bar, each), bar.case_id in path)
                for each in parts
            ]
        drawn.append(Lane(name, TOP + PITCH * len(drawn), _merged(rectangles)))
    marks, unit = _axis(seconds, scale)
    kept = tuple(drawn[:LANES])
    return Gantt(
        lanes=kept,
        marks=marks,
        unit=unit,
        height=TOP + PITCH * len(kept) + 6,
        rows=tuple(sorted(rows, key=lambda row: row.started)[:ROWS]),
        left_out=len(drawn) - len(kept),
        attempts=len(rows),
    )


def _lanes(timeline: Timeline) -> list[tuple[str, list[tuple[Bar, list[Segment]]]]]:
    """Return the attempts of each slot, by scheduler: an attempt takes the first slot that is free when it begins."""
    first: dict[str, Bar] = {}
    for bar in timeline.bars:
        known = first.get(bar.shares)
        if known is None or (bar.started or bar.ended) < (known.started or known.ended):
            first[bar.shares] = bar
    parted = [
        (bar, _segments(bar, timeline.began, not bar.shares or first[bar.shares] is bar)) for bar in timeline.bars
    ]
    lanes: dict[str, list[list[tuple[Bar, list[Segment]]]]] = {}
    for bar, parts in sorted(parted, key=lambda pair: pair[1][0].started):
        slots = lanes.setdefault(shared(bar.scheduler), [])
        free = next((slot for slot in slots if _ended(slot[-1]) <= parts[0].started + 0.005), None)
        if free is None:
            slots.append([(bar, parts)])
        else:
            free.append((bar, parts))
    return [
        (f"{scheduler} {number}", slot) for scheduler, slots in lanes.items() for number, slot in enumerate(slots, 1)
    ]


def _segments(bar: Bar, began: float, whole: bool) -> list[Segment]:
    """Return the parts of an attempt. whole: with the wait and the launch of its job, which others may share."""
    parts = []
    launched = bar.launched if bar.launched is not None else bar.started
    started = bar.started if bar.started is not None else bar.ended
    if whole:
        parts.append(
            Segment(
                "launch" if bar.fixture else "queue", bar.submitted, launched if launched is not None else bar.ended
            )
        )
        if launched is not None:
            parts.append(Segment("launch", launched, started))
    if bar.started is not None:
        parts.append(Segment("run", bar.started, bar.ended))
    parts.append(Segment("teardown", bar.ended, bar.collected))
    moved = [Segment(part.phase, part.started - began, part.ended - began) for part in parts]
    return [part for part in moved if part.seconds > 0] or moved[-1:]


def _ended(member: tuple[Bar, list[Segment]]) -> float:
    """Return when an attempt frees its slot: what the harness does afterwards takes none."""
    *_, last = [part for part in member[1] if part.phase != "teardown"] or member[1]
    return last.ended


def _clipped(parts: Sequence[Segment], following: float) -> list[Segment]:
    """Return the parts of an attempt, of which the last ends before the next attempt of the slot begins."""
    return [Segment(part.phase, part.started, max(part.started, min(part.ended, following))) for part in parts]


def _row(lane: str, bar: Bar, parts: Sequence[Segment]) -> Row:
    seconds = {part.phase: part.seconds for part in parts}
    return Row(lane, bar.case_id, bar.attempt, parts[0].started, tuple(seconds.get(phase) for phase in PHASES))


def _text(bar: Bar, part: Segment) -> str:
    attempt = f", attempt {bar.attempt}" if bar.attempt > 1 else ""
    return f"{bar.case_id}{attempt}: {part.phase} {part.seconds:.1f} s, from {part.started:.1f} s"


def _merged(rectangles: Sequence[Drawn]) -> tuple[Drawn, ...]:
    """Return the rectangles, with neighbours of one kind drawn as one where they are too narrow to see both."""
    merged: list[Drawn] = []
    for each in rectangles:
        last = merged[-1] if merged else None
        together = last is not None and (last.phase, last.marked) == (each.phase, each.marked)
        if last is not None and together and max(last.width, each.width) < NARROW and each.x - last.x < 4 * NARROW:
            merged[-1] = Drawn(
                last.phase, last.x, max(each.x + each.width - last.x, NARROW), "several cases", last.marked
            )
        elif each.width >= 0.05 or not merged:
            merged.append(each)
    return tuple(merged)


def _axis(seconds: float, scale: float) -> tuple[tuple[tuple[float, str], ...], str]:
    """Return the marks of the axis and their unit: at most ten, at round times."""
    step = next((step for step in STEPS if seconds / step <= 10), STEPS[-1])
    unit, name = (1, "seconds") if step < 60 else (60, "minutes") if step < 3600 else (3600, "hours")
    count = int(seconds // step)
    return tuple((_x(number * step, scale), f"{number * step / unit:g}") for number in range(count + 1)), name


def _x(seconds: float, scale: float) -> float:
    return round(LEFT + seconds * scale, 2)


def _w(part: Segment, scale: float) -> float:
    return round(max(part.seconds * scale, 0.0), 2)
