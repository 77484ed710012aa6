"""The tiles of the matrix: the present state of each component on some systems, as far as the filters select it.

The board has a row for each component on each system. If a filter selects only some cases of a component, the same row
is computed from their cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from collector.outcomes import OUTCOME_NAMES
from collector.status.filters import Filters, current_cells, has_part
from collector.store.bulk import among
from collector.store.members import Member
from collector.store.rollups import DETAILS, STREAK, board_row
from collector.store.staleness import is_stale, stale_condition
from collector.store.streaks import Streak
from collector.store.tables import attention, board, cells, runs, systems

RUN_COLUMNS = (runs.c.run_id, runs.c.stale_after, runs.c.release, runs.c.origin)


class TileRow(NamedTuple):
    """A row of ``board``, and what is known of the run that has its worst outcome."""

    system: int
    subject: str
    component: str
    worst: str
    outcomes: str
    started: int
    run: int
    version: str | None
    emulated: int
    flaky: int
    nested: str | None
    shares: str | None
    since: int | None
    changed: int | None
    imported: bool
    run_id: str
    stale_after: int | None
    release: str | None
    origin: str | None


def tile_rows(connection: Connection, keys: Sequence[int], filters: Filters) -> list[TileRow]:
    """Return the tiles of systems, sorted by system and subject."""
    if not keys:
        return []
    if filters.needs_cells:
        return [row for row in _from_cells(connection, keys, filters) if _is_listed(row, filters)]
    query = select(board, *RUN_COLUMNS).join(runs, runs.c.id == board.c.run)
    query = query.where(among(connection, board.c.system, keys), *board_conditions(filters))
    return [TileRow._make(row) for row in connection.execute(query.order_by(board.c.system, board.c.subject))]


def board_conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """Return the conditions on a query over ``board`` joined to ``runs``, for filters that need no cells."""
    conditions: list[ColumnElement[bool]] = []
    if filters.get("component"):
        conditions.append(has_part(board.c.subject, filters.get("component")))
    if filters.get("outcome"):
        conditions.append(board.c.worst.in_(filters.outcomes()))
    if filters.get("class"):
        of_tile = (attention.c.system == board.c.system, attention.c.subject == board.c.subject)
        listed = select(attention.c.cell).where(*of_tile, attention.c.cause.in_(filters.get("class")))
        conditions.append(listed.exists())
    if filters.get("state"):
        silent = select(systems.c.id).where(systems.c.id == board.c.system, systems.c.silent_from <= filters.now)
        states: dict[str, ColumnElement[bool]] = {
            "stale": stale_condition(board.c.started, runs.c.stale_after, filters.now),
            "silent": silent.exists(),
            "emulated": board.c.emulated > 0,
            "nested": board.c.nested.is_not(None),
            "flaky": board.c.flaky > 0,
        }
        wanted = [states[name] for name in filters.get("state") if name in states]
        conditions.append(or_(*wanted) if wanted else board.c.system.is_(None))
    return conditions


def has_tiles(filters: Filters) -> ColumnElement[bool]:
    """Return the condition on ``systems`` that a system has a tile; with filters of cells, that it may have one."""
    if filters.needs_cells:
        query = select(cells.c.id).where(cells.c.system == systems.c.id, current_cells(), *filters.cells())
        if filters.get("outcome"):
            query = query.where(cells.c.last_outcome.in_(filters.outcomes()))
        return query.correlate(systems).exists()
    conditions = board_conditions(filters)
    if not conditions:
        return systems.c.tiles > 0
    listed = select(board.c.system).where(board.c.system == systems.c.id, *conditions)
    if filters.get("state"):
        listed = listed.join(runs, runs.c.id == board.c.run)
    exists = listed.correlate(systems).exists()
    if not filters.get("class"):
        return exists
    failing = select(attention.c.system).where(attention.c.cause.in_(filters.get("class"))).correlate(None)
    return and_(systems.c.id.in_(failing), exists)


def _from_cells(connection: Connection, keys: Sequence[int], filters: Filters) -> Iterator[TileRow]:
    """Yield the rows that the board would have if there were no other cells than the selected ones."""
    columns = (cells.c.system, cells.c.id, cells.c.subject, cells.c.component, cells.c.scheduler, cells.c.tier)
    query = (
        select(*columns, *DETAILS, cells.c.imported, *STREAK)
        .join(systems, systems.c.id == cells.c.system)
        .where(among(connection, cells.c.system, keys), current_cells(), *filters.cells())
        .order_by(cells.c.system, cells.c.subject, cells.c.case_id)
    )
    if filters.get("class"):
        listed = (attention.c.cell == cells.c.id, attention.c.cause.in_(filters.get("class")))
        query = query.where(select(attention.c.cell).where(*listed).exists())
    grouped: dict[tuple[int, str], list[Member]] = {}
    for row in connection.execute(query):
        grouped.setdefault((row[0], row[2]), []).append(Member._make((*row[1:10], Streak._make(row[10:]))))
    rows = [board_row(system, subject, members) for (system, subject), members in grouped.items()]
    place = [column.name for column in board.c].index("run")
    of_run = select(runs.c.id, *RUN_COLUMNS).where(among(connection, runs.c.id, {tile[place] for tile in rows}))
    known: dict[int, tuple[Any, ...]] = {run[0]: tuple(run[1:]) for run in connection.execute(of_run)}
    for tile in rows:
        yield TileRow._make((*tile, *known[tile[place]]))


def _is_listed(row: TileRow, filters: Filters) -> bool:
    if filters.get("outcome") and OUTCOME_NAMES[row.worst] not in filters.get("outcome"):
        return False
    states = {
        "stale": is_stale(row.started, row.stale_after, filters.now),
        "silent": True,  # the systems are selected already
        "emulated": row.emulated > 0,
        "nested": row.nested is not None,
        "flaky": row.flaky > 0,
    }
    return not filters.get("state") or any(states.get(name, False) for name in filters.get("state"))
