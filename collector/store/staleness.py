"""When results become stale: as their run states, or else as the system's own runs state."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, select

from collector.importers.common import Source
from collector.store.tables import runs, systems

DEFAULT_STALE_AFTER = 7 * 86400
"""Seconds, for a run or a system that does not state ``stale_after``: nothing stays current for ever."""


def is_stale(started: int, stale_after: int | None, now: int) -> bool:
    """Return whether a result is older than its site accepts; ``stale_after`` is in seconds, the times in ms."""
    return now - started > 1000 * (DEFAULT_STALE_AFTER if stale_after is None else stale_after)


class StoredRun(NamedTuple):
    """What is stored of a run: its start as its manifest states it, and its ``stale_after`` in seconds."""

    started: str
    stale_after: int | None


class _Start(msgspec.Struct):
    started: str


def stored_run(connection: Connection, source: Source) -> StoredRun | None:
    """Return what is stored of a run, or None if its manifest is not stored."""
    query = (
        select(runs.c.manifest, runs.c.stale_after)
        .join(systems, systems.c.id == runs.c.system)
        .where(systems.c.site == source.site, systems.c.system == source.system)
        .where(runs.c.run_id == source.run_id, runs.c.digest.is_not(None))
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    return StoredRun(msgspec.json.decode(bytes(row.manifest), type=_Start).started, row.stale_after)


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


def stale_condition(started: Any, stale_after: Any, now: int) -> ColumnElement[bool]:
    """Return the condition that a result is stale, from the columns with its start and its run's ``stale_after``."""
    seconds = func.coalesce(stale_after, DEFAULT_STALE_AFTER)
    condition: ColumnElement[bool] = started < now - cast(seconds, BigInteger) * 1000
    return condition
