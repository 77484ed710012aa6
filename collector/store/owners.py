"""Who owns a system: the owner that its newest manifest names."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from collector.store.tables import runs, systems


def note_owner(connection: Connection, system: int) -> None:
    """Store the owner that the newest manifest of a system names; null if it names none."""
    newest = (
        select(runs.c.owner)
        .where(runs.c.system == system, runs.c.digest.is_not(None))
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
        .limit(1)
    )
    owner = connection.execute(newest).scalar()
    connection.execute(update(systems).where(systems.c.id == system).values(owner=owner))
