"""Derived states, which no record contains: missing, stale, flaky, failing; read from roll-ups, not from history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Connection, Row, cast, func, select

from collector.auth.visibility import Visibility
from collector.clock import iso
from collector.outcomes import MISSING, OUTCOME_NAMES
from collector.status.filters import Filters
from collector.store.staleness import DEFAULT_STALE_AFTER, is_stale
from collector.store.streaks import flake_score, is_flaky
from collector.store.tables import cells, runs, systems

STATES = ("flaky", "failing", "missing", "stale")


def cell_states(
    connection: Connection,
    visibility: Visibility,
    now: int,
    filters: Filters | None = None,
    state: str | None = None,
    after: int = 0,
) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of cells with their states, and the key after which the next page starts, or None.

    ``state`` limits the result to cells in that state.
    """
    limit = 1000
    latest, first = runs.alias("latest"), runs.alias("first")
    query = (
        select(cells, systems.c.site, systems.c.system.label("system_name"), latest.c.run_id, latest.c.stale_after)
        .add_columns(first.c.run_id.label("fail_run_id"), systems.c.full_smoke, systems.c.full_integration)
        .add_columns(systems.c.full_scale)
        .join(systems, systems.c.id == cells.c.system)
        .join(latest, latest.c.id == cells.c.last_run)
        .outerjoin(first, first.c.id == cells.c.fail_run)
        .where(cells.c.id > after)
    )
    if filters is not None:
        query = query.where(*filters.rows())
    if state == "missing":
        query = query.where(cells.c.last_outcome == MISSING)
    elif state == "failing":
        query = query.where(cells.c.fail_run.is_not(None))
    elif state == "flaky":
        query = query.where(cells.c.turns.like("%!%!%"))
    elif state == "stale":
        seconds = func.coalesce(latest.c.stale_after, DEFAULT_STALE_AFTER)
        query = query.where(cells.c.last_started < now - cast(seconds, BigInteger) * 1000)
    rows = connection.execute(visibility.of(query).order_by(cells.c.id).limit(limit)).all()
    current = [_cell_facts(row, now) for row in rows if _current(row)]
    return current, rows[-1].id if len(rows) == limit else None


def _current(row: Row[Any]) -> bool:
    """Return whether the newest full run of the tier still plans the cell."""
    full_run_started = getattr(row, f"full_{row.tier}", None)
    return full_run_started is None or row.last_started >= full_run_started


def _cell_facts(row: Row[Any], now: int) -> dict[str, Any]:
    states = {
        "flaky": is_flaky(row.turns),
        "failing": row.fail_run is not None,
        "missing": row.last_outcome == MISSING,
        "stale": is_stale(row.last_started, row.stale_after, now),
    }
    return {
        "site": row.site,
        "system": row.system_name,
        "case_id": row.case_id,
        "component": row.subject,
        "scheduler": row.scheduler,
        "outcome": OUTCOME_NAMES[row.last_outcome],
        "states": [name for name in STATES if states[name]],
        "run_id": row.run_id,
        "started": iso(row.last_started),
        "since": iso(row.since_started),
        "last_pass": None if row.pass_started is None else iso(row.pass_started),
        "first_fail": None if row.fail_started is None else iso(row.fail_started),
        "first_fail_run": row.fail_run_id,
        "version": row.last_version,
        "emulated": bool(row.last_emulated),
        "history": [OUTCOME_NAMES[char] for char in row.history or ""],
        "flake_score": flake_score(row.history, row.turns),
    }
