"""The roll-ups: what pages read, kept right within the transaction that changes the facts behind it.

Everything here is a function of the facts alone, not of the order in which they came: a cell's latest is found by
walking its system's runs from the newest back until one says something about it, and that is nearly always the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from collector.bulk import update_many
from collector.outcomes import MISSING, worst
from collector.tables import board, cells, plans, records, runs, systems

LATEST = (
    cells.c.last_run,
    cells.c.last_started,
    cells.c.last_outcome,
    cells.c.last_record,
    cells.c.last_version,
    cells.c.last_emulated,
)

TIERS = ("smoke", "integration", "scale")

_STEP = 8
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


def settle(connection: Connection, system: int, touched: Iterable[int]) -> None:
    """Bring the latest result of the touched cells up to date, and the board rows of their subjects."""
    wanted = set(touched)
    found: dict[int, tuple[Any, ...]] = dict.fromkeys(wanted, (None,) * len(LATEST))
    open_cells = set(wanted)
    for run in _newest_first(connection, system):
        says = _says(run, open_cells)
        if says:
            found |= _details(connection, run, says)
            open_cells -= says.keys()
        if not open_cells:
            break
    update_many(connection, cells, LATEST, [(*latest, cell) for cell, latest in sorted(found.items())])
    _refresh_board(connection, system, wanted)


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
        _refresh_board(connection, system, None)


def _newest_first(connection: Connection, system: int) -> Iterator[Any]:
    columns = (runs.c.id, runs.c.run_id, runs.c.started, runs.c.partial, runs.c.state, runs.c.extra, runs.c.outcomes)
    query = (
        select(*columns, plans.c.cells.label("plan"))
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.system == system)
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
    )
    step, after = 1, None
    while True:
        page = query if after is None else query.where(tuple_(runs.c.started, runs.c.run_id) < after)
        rows = connection.execute(page.limit(step)).all()
        yield from rows
        if len(rows) < step:
            return
        after, step = tuple_(rows[-1].started, rows[-1].run_id), min(step * 2, 64)


def _says(run: Row[Any], wanted: set[int]) -> dict[int, str]:
    """Return what a run says about cells: an open run says nothing of what it still owes, nor does a partial one."""
    places = positions(run.plan, run.extra)
    silent_counts = run.state is not None and not run.partial
    says = {}
    for cell in wanted & places.keys():
        outcome = run.outcomes[places[cell]]
        if outcome != MISSING or silent_counts:
            says[cell] = outcome
    return says


def _details(connection: Connection, run: Row[Any], says: dict[int, str]) -> dict[int, tuple[Any, ...]]:
    """Return the new latest of each cell, with what its effective record tells."""
    key, started = run.id, run.started
    found: dict[int, tuple[Any, ...]] = {
        cell: (key, started, outcome, None, None, None) for cell, outcome in says.items()
    }
    reported = sorted(cell for cell, outcome in says.items() if outcome != MISSING)
    if reported:
        query = (
            select(records.c.cell, records.c.id, records.c.version, records.c.emulated)
            .where(records.c.run == run.id, records.c.cell.between(reported[0], reported[-1]))
            .order_by(records.c.cell, records.c.attempt)
        )
        for cell, record, version, emulated in connection.execute(query):
            if cell in says:
                found[cell] = (key, started, says[cell], record, version, emulated)
    return found


def _refresh_board(connection: Connection, system: int, touched: set[int] | None) -> None:
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
    columns = (cells.c.subject, cells.c.component, cells.c.tier, *LATEST)
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
    }
