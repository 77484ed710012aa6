"""What the first run of a system plans and has not reported yet: such components have no row of the board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from collector.store.bulk import among
from collector.store.rollups import parse_cells
from collector.store.tables import cells, plans, runs, systems


class PendingTile(NamedTuple):
    """A component without any result: the number of its planned cases, and the run that is to report them."""

    system: int
    subject: str
    component: str
    cases: int
    started: int
    run_id: str
    release: str | None


def has_open_run() -> ColumnElement[bool]:
    """Return the condition on ``systems`` that a run with a plan is open."""
    return systems.c.id.in_(select(runs.c.system).where(runs.c.due.is_not(None)).correlate(None))


def may_be_pending(row: Any) -> bool:
    """Return whether a system has never completed a run of the whole plan."""
    return row.full_smoke is None and row.full_integration is None and row.full_scale is None


def pending_tiles(connection: Connection, keys: Sequence[int]) -> list[PendingTile]:
    """Return the components of open runs of which no case has ever reported on these systems, in the order of names."""
    if not keys:
        return []
    open_runs = (
        select(runs.c.system, runs.c.started, runs.c.run_id, runs.c.release, plans.c.cells)
        .join(plans, plans.c.id == runs.c.plan)
        .where(among(connection, runs.c.system, keys), runs.c.due.is_not(None))
        .order_by(runs.c.started)
    )
    planned = {row.system: row for row in connection.execute(open_runs)}  # the newest of each system
    if not planned:
        return []
    names = (cells.c.id, cells.c.system, cells.c.subject, cells.c.component, cells.c.last_run)
    known = connection.execute(select(*names).where(among(connection, cells.c.system, sorted(planned)))).all()
    reported = {(row.system, row.subject) for row in known if row.last_run is not None}
    plan = {system: frozenset(parse_cells(row.cells)) for system, row in planned.items()}
    counts = Counter((row.system, row.subject, row.component) for row in known if row.id in plan[row.system])
    return [
        PendingTile(*key, number, planned[key[0]].started, planned[key[0]].run_id, planned[key[0]].release)
        for key, number in sorted(counts.items())
        if key[:2] not in reported
    ]
