"""When imported results become stale: other tools do not state it, so it is that of the system's own runs."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from collector.importers.common import Source
from collector.store.tables import runs, systems

DEFAULT_STALE_AFTER = 7 * 86400
"""Seconds, for a system of which no run states ``stale_after``."""


class StoredRun(NamedTuple):
    """What is stored of a run: its start in milliseconds since 1970, and its ``stale_after`` in seconds."""

    started: int
    stale_after: int | None


def stored_run(connection: Connection, source: Source) -> StoredRun | None:
    """Return what is stored of a run, or None if its manifest is not stored."""
    query = (
        select(runs.c.started, runs.c.stale_after)
        .join(systems, systems.c.id == runs.c.system)
        .where(systems.c.site == source.site, systems.c.system == source.system)
        .where(runs.c.run_id == source.run_id, runs.c.digest.is_not(None))
    )
    row = connection.execute(query).first()
    return None if row is None else StoredRun(row.started, row.stale_after)


def stale_after_of_system(connection: Connection, source: Source) -> int:
    """Return ``stale_after`` of the newest run of the system that states one and was not imported, in seconds."""
    query = (
        select(runs.c.stale_after)
        .join(systems, systems.c.id == runs.c.system)
        .where(systems.c.site == source.site, systems.c.system == source.system)
        .where(runs.c.stale_after.is_not(None), runs.c.origin.is_(None))
        .order_by(runs.c.started.desc())
        .limit(1)
    )
    stated = connection.execute(query).scalar()
    return DEFAULT_STALE_AFTER if stated is None else stated
