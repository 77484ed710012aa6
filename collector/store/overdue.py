"""Runs that should have ended and were not closed: their planned cases without a record are missing from then on.

This is the only derivation. ``viewing`` applies it before anything is read, so that pages, badges, metrics, hooks and
digests agree, whether or not anything else happens on the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError

from collector.clock import duration_seconds
from collector.store.condition import reason_of
from collector.store.database import Store
from collector.store.rollups import positions, update_rollups
from collector.store.staleness import DEFAULT_STALE_AFTER
from collector.store.tables import plans, runs, systems
from dashboard_client.schema import Manifest

CLOSING_GRACE_MS = 3600 * 1000
"""How long the closing of a run that has ended already may take to arrive."""

T = TypeVar("T")
Write = Callable[[Callable[[Connection], Any]], Any]


def due_of(manifest: Manifest, started: int, now: int, ended: bool = False) -> int | None:
    """Return when a run should have ended, in milliseconds since 1970; None if it has no plan.

    That is its declared limit after its start, or else the age from which its results are stale. ``ended``: the sender
    states that the run has ended; its closing follows, so that it is not overdue while an old run is uploaded.
    """
    if not manifest.planned:
        return None
    limit = duration_seconds(manifest.time_limit or None) or duration_seconds(manifest.stale_after)
    due = started + 1000 * (limit or DEFAULT_STALE_AFTER)
    return max(due, now + CLOSING_GRACE_MS) if ended else due


def any_due(connection: Connection, now: int) -> bool:
    """Return whether a run should have ended and is not marked yet."""
    return connection.execute(select(runs.c.id).where(runs.c.due <= now).limit(1)).scalar() is not None


def mark_overdue(connection: Connection, now: int) -> int:
    """Mark the open runs that should have ended, update the roll-ups, and return how many they were."""
    marked = 0
    for system in connection.execute(select(runs.c.system).where(runs.c.due <= now).distinct()).scalars().all():
        connection.execute(select(systems.c.id).where(systems.c.id == system).with_for_update(key_share=True))
        query = (
            select(runs.c.id, runs.c.extra, plans.c.cells)
            .outerjoin(plans, plans.c.id == runs.c.plan)
            .where(runs.c.system == system, runs.c.due <= now)
            .order_by(runs.c.id)
        )
        touched = {run: tuple(positions(plan, extra)) for run, extra, plan in connection.execute(query)}
        values = {"due": None, "overdue": True}
        connection.execute(update(runs).where(runs.c.id.in_(list(touched))).values(**values))
        update_rollups(connection, system, touched)
        marked += len(touched)
    return marked


@contextmanager
def viewing(store: Store, now: int, write: Write | None = None) -> Iterator[Connection]:
    """Yield a connection for reading the states of cells at ``now``.

    ``write`` runs a function in a transaction; without it, the store's own transaction is used. If there is no room on
    its disk, the states are computed and not stored.
    """
    with store.reading() as connection:
        if not any_due(connection, now):
            yield connection
            return
    try:
        if write is not None:
            write(lambda connection: mark_overdue(connection, now))
        else:
            with store.writing() as connection:
                mark_overdue(connection, now)
    except DBAPIError as error:
        if store.file is None or reason_of(error) is None:
            raise
        with store.exclusive() as connection:  # what is not committed stays in memory
            mark_overdue(connection, now)
            yield connection
        return
    with store.reading() as connection:
        yield connection
