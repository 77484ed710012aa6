"""Queries for the pages and the JSON interface; each function needs only a few statements.

``visibility`` limits the result to the sites that the reader may see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, tuple_

from collector.auth.visibility import Visibility
from collector.store.bulk import among
from collector.store.months import run_key_ranges
from collector.store.names import ambiguous_run
from collector.store.records import record_key
from collector.store.rollups import parse_cells
from collector.store.tables import (
    LOOKUP_BITS,
    RECORD_BITS,
    bodies,
    cells,
    closings,
    lookup,
    plans,
    records,
    runs,
    systems,
)
from dashboard_client.schema import record_id as schema_record_id

RUN_COLUMNS = (
    runs.c.id,
    runs.c.run_id,
    runs.c.system.label("system_key"),
    systems.c.site,
    systems.c.system,
    runs.c.received,
    runs.c.digest,
    runs.c.started,
    runs.c.trigger,
    runs.c.release,
    runs.c.tier,
    runs.c.partial,
    runs.c.stale_after,
    runs.c.stack,
    runs.c.schedulers,
    runs.c.extra,
    runs.c.outcomes,
    runs.c.records,
    runs.c.sequence,
    runs.c.state,
    runs.c.overdue,
    runs.c.skew,
    runs.c.ended,
    runs.c.exit_code,
)

ORDER = (runs.c.started, runs.c.run_id, runs.c.id)


def latest_runs(
    connection: Connection,
    visibility: Visibility,
    limit: int,
    system: str | None = None,
    before: str | None = None,
    conditions: Iterable[ColumnElement[bool]] = (),
) -> list[Row[Any]]:
    """Return runs, newest first; ``before`` is the name (``run_name``) of the last run of the previous page.

    ``conditions`` limit the runs and their systems, such as those of filters.
    """
    query = visibility.of(select(*RUN_COLUMNS).join(systems, systems.c.id == runs.c.system)).where(*conditions)
    if system is not None:
        query = query.where(systems.c.system == system)
    if before is not None:
        *place, run_id = before.split("/")
        known = select(runs.c.started, runs.c.run_id, runs.c.id).join(systems, systems.c.id == runs.c.system)
        known = known.where(runs.c.run_id == run_id)
        if len(place) == 2:
            known = known.where(systems.c.site == place[0], systems.c.system == place[1])
        last = connection.execute(visibility.of(known).order_by(runs.c.id).limit(1)).first()
        query = query.where(tuple_(*ORDER) < tuple_(*(last or (-1, run_id, -1))))
    return list(connection.execute(query.order_by(*(column.desc() for column in ORDER)).limit(limit)))


def run_name(row: Row[Any]) -> str:
    """Return the name of a run that no other run of the collector has: SITE/SYSTEM/RUN."""
    return f"{row.site}/{row.system}/{row.run_id}"


def find_run(
    connection: Connection, run_id: str, visibility: Visibility, site: str | None = None, system: str | None = None
) -> Row[Any] | None:
    """Return a run with its manifest, plan and newest closing; None if the reader may not see it or it is unknown.

    Raises:
        Problem: 409, several systems that the reader may see have a run of this id; ``site`` and ``system`` select one.
    """
    query = (
        select(*RUN_COLUMNS, runs.c.manifest, plans.c.cells.label("plan"), closings.c.body.label("closing"))
        .join(systems, systems.c.id == runs.c.system)
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .outerjoin(closings, (closings.c.run == runs.c.id) & (closings.c.sequence == runs.c.sequence))
        .where(runs.c.run_id == run_id)
    )
    if site is not None:
        query = query.where(systems.c.site == site)
    if system is not None:
        query = query.where(systems.c.system == system)
    rows = connection.execute(visibility.of(query)).all()
    if len(rows) > 1:
        advice = f"Use /runs/SITE/SYSTEM/{run_id[:128]}, or add ?site=SITE&system=SYSTEM to an address of the API."
        raise ambiguous_run(run_id, (f"{row.site}/{row.system}" for row in rows), advice)
    return rows[0] if rows else None


def run_cells(connection: Connection, run: Row[Any]) -> list[Row[Any]]:
    """Return the cells of a run in planned order, then those that were not planned."""
    layout = (*(parse_cells(run.plan) if run.plan else ()), *parse_cells(run.extra))
    if not layout:
        return []
    columns = (cells.c.id, cells.c.case_id, cells.c.component, cells.c.subject, cells.c.scheduler, cells.c.tier)
    within = cells.c.id.between(min(layout), max(layout))
    query = select(*columns).where(cells.c.system == run.system_key, within)
    by_id: dict[int, Any] = {row.id: row for row in connection.execute(query)}
    return [by_id[cell] for cell in layout]


def run_records(connection: Connection, run: int) -> list[Row[Any]]:
    """Return the narrow rows of a run's records in order of attempts, without their bodies."""
    return list(connection.execute(select(records).where(_of_run(run)).order_by(records.c.cell, records.c.attempt)))


def record_bodies(connection: Connection, run: int, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Return a page of a run's canonical records with their numbers, in the order of their arrival."""
    first = (run << RECORD_BITS) + after
    within = bodies.c.record.between(first, ((run + 1) << RECORD_BITS) - 1)
    query = select(bodies.c.record, bodies.c.body).where(within).order_by(bodies.c.record).limit(limit)
    return [(key - (run << RECORD_BITS), bytes(body)) for key, body in connection.execute(query)]


def find_record(connection: Connection, record_id: str, visibility: Visibility) -> Row[Any] | None:
    """Return a record with its run and, if it is still stored, its body."""
    if len(record_id) != 64 or set(record_id) - set("0123456789abcdef"):
        return None
    query = (
        select(records, bodies.c.body, cells.c.case_id, runs.c.run_id, systems.c.site, systems.c.system)
        .join(runs, runs.c.id == records.c.run)
        .join(systems, systems.c.id == runs.c.system)
        .join(cells, cells.c.id == records.c.cell)
        .outerjoin(bodies, bodies.c.record == records.c.id)
        .where(records.c.record_key == record_key(record_id))
    )
    for keys in run_key_ranges(connection):  # the newest first: most records that are looked for are new
        groups = range(keys.start >> LOOKUP_BITS, (keys.stop - 1 >> LOOKUP_BITS) + 1)
        for row in connection.execute(visibility.of(query.where(among(connection, lookup, groups)))):
            if row_record_id(row) == record_id:
                return row
    return None


def row_record_id(row: Row[Any]) -> str:
    """Return the id of a record, computed from its site, system, run, case and attempt."""
    return schema_record_id(row.site, row.system, row.run_id, row.case_id, row.attempt)


def is_whole(row: Row[Any]) -> bool | None:
    """Return whether the body of a record is the acknowledged one; None if there is no body.

    Retention may have removed the output from the body, or the whole body.
    """
    return None if row.body is None else hashlib.sha256(row.body).digest() == bytes(row.digest)


def attempts(connection: Connection, run: int, cell: int) -> list[Row[Any]]:
    """Return all attempts of one case within a run."""
    query = select(records).where(records.c.run == run, records.c.cell == cell).order_by(records.c.attempt)
    return list(connection.execute(query))


def _of_run(run: int) -> Any:
    return records.c.id.between(run << RECORD_BITS, ((run + 1) << RECORD_BITS) - 1)
