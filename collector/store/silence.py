"""Systems that stopped reporting: no run started for longer than the cadence that the newest run states.

A run of the whole plan is expected; restricted runs count only on a system that has no others. The next run may begin
half a cadence late, because runs wait in queues and are often sent when they have ended.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, cast, func, select, update

from collector.store.tables import runs, systems

LATE = 1500
"""Milliseconds for each second of the cadence after which a system is silent: one and a half cadences."""


def note_cadence(connection: Connection, system: int) -> None:
    """Store from when on a system counts as silent: null if no run of its own since it was retired states a cadence."""
    silent_from = runs.c.started + cast(runs.c.cadence, BigInteger) * LATE
    retired = select(func.coalesce(systems.c.retired, -1)).where(systems.c.id == system).scalar_subquery()
    query = select(silent_from).where(runs.c.system == system, runs.c.started > retired)
    query = query.where(runs.c.cadence.is_not(None), runs.c.origin.is_(None))
    newest = query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(1)
    value = connection.execute(newest.where(runs.c.partial.is_(False))).scalar()
    if value is None:
        value = connection.execute(newest).scalar()
    connection.execute(update(systems).where(systems.c.id == system).values(silent_from=value))


def is_silent(silent_from: int | None, now: int) -> bool:
    """Return whether a system should have reported again before ``now``."""
    return silent_from is not None and silent_from <= now
