"""The roll-ups: what pages read, kept right within the transaction that changes the facts behind it.

Everything here is a function of the facts alone, not of the order in which they came: a cell's history is what its
system's runs say of it from the oldest to the newest. A newer run is one step on; anything else is told anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from collector.bulk import update_many
from collector.outcomes import MISSING, worst
from collector.streaks import Say, Streak, is_flaky
from collector.tables import board, cells, plans, records, runs, systems

STREAK = tuple(cells.c[name] for name in Streak._fields)
DETAILS = (cells.c.last_record, cells.c.last_version, cells.c.last_emulated)

TIERS = ("smoke", "integration", "scale")

_CHUNK = 500


@lru_cache(maxsize=256)
def parse_cells(packed: str) -> tuple[int, ...]:
    """Read a packed list of cell keys; plans repeat from run to run, so reading them is remembered."""
    return tuple(json.loads(packed))


@lru_cache(maxsize=256)
def positions(plan: str | None, extra: str) -> dict[int, int]:
    """Map each cell of a run to its place in the run's outcomes."""
    layout = (parse_cells(plan) if plan else ()) + parse_cells(extra)
    return {cell: place for place, cell in enumerate(layout)}


def chunks(values: Iterable[int]) -> Iterator[list[int]]:
    """Cut keys into lists short enough for one statement, in order."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def settle(connection: Connection, system: int, touched: Mapping[int, Iterable[int]], moved: bool = False) -> None:
    """Bring the history of cells up to date, and the board rows of their subjects.

    ``touched`` maps each run that changed to the cells it changed. ``moved`` says that a run that was known before may
    have another place in time or speak for other cells than it did: then everything is told from the beginning.
    """
    by_cell: dict[int, set[int]] = {}
    for run, some in touched.items():
        for cell in some:
            by_cell.setdefault(cell, set()).add(run)
    if not by_cell:
        return
    words = {run.id: run for run in _runs(connection, system, sorted(touched))}
    told: dict[int, Streak] = {}
    again: set[int] = set()
    stored = _streaks(connection, by_cell)
    for cell, some in by_cell.items():
        before = stored[cell]
        say = None if moved or len(some) != 1 else _say(words[next(iter(some))], cell)
        if moved or len(some) != 1:
            again.add(cell)
        elif say is None or (say.run == before.last_run and say.outcome == before.last_outcome):
            told[cell] = before
        elif before.last_started is None or before.last_started < say.started:
            told[cell] = before.then(say)
        else:
            again.add(cell)
    if again:
        told |= retell(connection, system, again)
    found = details(connection, told)
    rows = [(*streak, *found.get(cell, _NO_DETAILS), cell) for cell, streak in sorted(told.items())]
    update_many(connection, cells, (*STREAK, *DETAILS), rows)
    refresh_board(connection, system, set(by_cell))


def retell(connection: Connection, system: int, wanted: set[int]) -> dict[int, Streak]:
    """Tell the history of cells from the system's first run to its newest."""
    told = dict.fromkeys(wanted, Streak())
    for run in _runs(connection, system, None):
        for cell in wanted & positions(run.plan, run.extra).keys():
            say = _say(run, cell)
            if say is not None:
                told[cell] = told[cell].then(say)
    return told


def note_full_runs(connection: Connection, system: int) -> None:
    """Note when the newest complete, unrestricted run of each tier began; cells it left out leave the board."""
    closed = (runs.c.system == system, runs.c.state == "complete", runs.c.partial.is_(False))
    rows = connection.execute(select(runs.c.tier, func.max(runs.c.started)).where(*closed).group_by(runs.c.tier))
    newest: dict[str, int] = {tier: started for tier, started in rows if tier is not None}
    full: dict[str, int | None] = {}
    for rank, tier in enumerate(TIERS):
        begun = [newest[other] for other in TIERS[rank:] if other in newest]
        full[f"full_{tier}"] = max(begun) if begun else None
    before = connection.execute(select(systems).where(systems.c.id == system)).one()._mapping
    if any(before[name] != value for name, value in full.items()):
        connection.execute(update(systems).where(systems.c.id == system).values(**full))
        refresh_board(connection, system, None)


_NO_DETAILS = (None, None, None)


def _streaks(connection: Connection, wanted: Iterable[int]) -> dict[int, Streak]:
    found: dict[int, Streak] = {}
    for some in chunks(wanted):
        query = select(cells.c.id, *STREAK).where(cells.c.id.in_(some))
        found.update((row[0], Streak._make(row[1:])) for row in connection.execute(query))
    return found


def _runs(connection: Connection, system: int, only: list[int] | None) -> Iterator[Any]:
    """Yield runs of a system with the text of their plans, the oldest first; all of them, or only some."""
    names = ("id", "started", "partial", "state", "stack", "extra", "outcomes")
    query = (
        select(*(runs.c[name] for name in names), plans.c.cells.label("plan"))
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.system == system)
        .order_by(runs.c.started, runs.c.run_id)
    )
    if only is None:
        yield from connection.execute(query.execution_options(yield_per=_CHUNK))
        return
    for some in chunks(only):
        yield from connection.execute(query.where(runs.c.id.in_(some)))


def _say(run: Any, cell: int) -> Say | None:
    """Return what a run says about a cell: an open one says nothing of what it still owes, nor does a partial one."""
    outcome = run.outcomes[positions(run.plan, run.extra)[cell]]
    if outcome == MISSING and (run.state is None or run.partial):
        return None
    return Say(run.id, run.started, outcome, run.stack)


def details(connection: Connection, told: Mapping[int, Streak]) -> dict[int, tuple[Any, ...]]:
    """Return key, version and kind of scheduler of the record that each latest outcome is from."""
    by_run: dict[int, list[int]] = {}
    for cell, streak in told.items():
        if streak.last_run is not None and streak.last_outcome != MISSING:
            by_run.setdefault(streak.last_run, []).append(cell)
    found: dict[int, tuple[Any, ...]] = {}
    for run, members in sorted(by_run.items()):
        wanted = set(members)
        query = (
            select(records.c.cell, records.c.id, records.c.version, records.c.emulated)
            .where(records.c.run == run, records.c.cell.between(min(members), max(members)))
            .order_by(records.c.cell, records.c.attempt)
        )
        found.update((row[0], tuple(row[1:])) for row in connection.execute(query) if row[0] in wanted)
    return found


def refresh_board(connection: Connection, system: int, touched: set[int] | None) -> None:
    """Write anew the board rows of the subjects of the touched cells, or of all subjects of the system."""
    full = connection.execute(select(systems).where(systems.c.id == system)).one()._mapping
    subjects: set[str] | None = None
    if touched is not None:
        subjects = set()
        for some in chunks(touched):
            subjects.update(
                connection.execute(select(cells.c.subject).where(cells.c.id.in_(some)).distinct()).scalars()
            )
        if not subjects:
            return
    columns = (
        cells.c.subject,
        cells.c.component,
        cells.c.scheduler,
        cells.c.tier,
        cells.c.turns,
        *STREAK[:3],
        *DETAILS,
    )
    current = (
        select(*columns).where(cells.c.system == system, cells.c.last_outcome.is_not(None)).order_by(cells.c.case_id)
    )
    gone = delete(board).where(board.c.system == system)
    if subjects is not None:
        current = current.where(cells.c.subject.in_(sorted(subjects)))
        gone = gone.where(board.c.subject.in_(sorted(subjects)))
    grouped: dict[str, list[Any]] = {}
    for cell in connection.execute(current):
        begun = full[f"full_{cell.tier}"]
        if begun is None or cell.last_started >= begun:
            grouped.setdefault(cell.subject, []).append(cell)
    connection.execute(gone)
    rows = [_board_row(system, subject, members) for subject, members in sorted(grouped.items())]
    if rows:
        connection.execute(insert(board), rows)


def _begun(cell: Row[Any]) -> int:
    started: int = cell.last_started
    return started


def _board_row(system: int, subject: str, members: Sequence[Row[Any]]) -> dict[str, Any]:
    outcomes = "".join(cell.last_outcome for cell in members)
    shown = worst(outcomes)
    newest = max(members, key=_begun)
    culprit = max((cell for cell in members if cell.last_outcome == shown), key=_begun)
    versioned = [cell for cell in members if cell.last_version is not None]
    latest = max(versioned, key=_begun) if versioned else None
    nested = sorted({inner for cell in members if (inner := cell.scheduler.partition("+")[2])})
    return {
        "system": system,
        "subject": subject,
        "component": newest.component,
        "worst": shown,
        "outcomes": outcomes,
        "started": newest.last_started,
        "run": culprit.last_run,
        "version": latest.last_version if latest else None,
        "emulated": sum(bool(cell.last_emulated) for cell in members),
        "flaky": sum(is_flaky(cell.turns) for cell in members),
        "nested": ", ".join(nested)[:256] or None,
    }
