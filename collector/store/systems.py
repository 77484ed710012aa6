"""Rename a system, take it out of use, or delete it with everything that it sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, literal, select, update

from collector.errors import UnknownSystemError
from collector.store.bulk import update_many
from collector.store.records import record_key
from collector.store.rollups import note_full_runs
from collector.store.silence import note_cadence
from collector.store.tables import (
    RECORD_BITS,
    attention,
    board,
    bodies,
    cells,
    closings,
    days,
    events,
    former_names,
    incidents,
    points,
    records,
    reported_states,
    runs,
    senders,
    series,
    systems,
    waivers,
)
from dashboard_client.schema import record_id


@dataclass(frozen=True)
class Deleted:
    """What was deleted with a system."""

    runs: int
    records: int


def list_systems(connection: Connection) -> list[dict[str, Any]]:
    """Return every system with the times of its last contact and of its retirement, and its former names."""
    former: dict[int, list[str]] = {}
    for row in connection.execute(select(former_names).order_by(former_names.c.site, former_names.c.system)):
        former.setdefault(row.key, []).append(f"{row.site}/{row.system}")
    columns = (systems.c.id, systems.c.site, systems.c.system, systems.c.contact, systems.c.retired)
    rows = connection.execute(select(*columns).order_by(systems.c.site, systems.c.system))
    return [
        {
            "site": row.site,
            "system": row.system,
            "contact": row.contact,
            "retired": row.retired,
            "former_names": former.get(row.id, []),
        }
        for row in rows
    ]


def rename_system(connection: Connection, old: tuple[str, str], new: tuple[str, str]) -> None:
    """Give a system another name; its history stays, and what is sent under the old name still belongs to it.

    The ids of its records contain the name and are computed again. Waivers and old clients of the system follow.

    Raises:
        UnknownSystemError: there is no such system, or another one has the new name.
    """
    key = _existing(connection, old)
    taken = select(systems.c.id).where(systems.c.site == new[0], systems.c.system == new[1])
    if connection.execute(taken).scalar() is not None:
        raise UnknownSystemError(
            f"the system {'/'.join(new)} exists already, with results of its own. Take the old one out of use instead: "
            f"exaworks collector system retire {'/'.join(old)}"
        )
    connection.execute(delete(former_names).where(former_names.c.site == new[0], former_names.c.system == new[1]))
    connection.execute(insert(former_names).values(site=old[0], system=old[1], key=key))
    connection.execute(update(systems).where(systems.c.id == key).values(site=new[0], system=new[1]))
    for table in (senders, waivers):
        of_system = (table.c.site == old[0], table.c.system == old[1])
        connection.execute(update(table).where(*of_system).values(site=new[0], system=new[1]))
    for run in connection.execute(select(runs.c.id, runs.c.run_id).where(runs.c.system == key)).all():
        query = select(records.c.id, records.c.attempt, cells.c.case_id).join(cells, cells.c.id == records.c.cell)
        rows = connection.execute(query.where(records.c.run == run.id, *_of_run(records.c.id, run.id)))
        changed = [(record_key(record_id(*new, run.run_id, row.case_id, row.attempt)), row.id) for row in rows]
        update_many(connection, records, (records.c.record_key,), changed)


def retire_system(connection: Connection, name: tuple[str, str], now: int) -> None:
    """Take a system out of use: its cells leave the board, and its history stays. A later run takes it into use again.

    Raises:
        UnknownSystemError: there is no such system.
    """
    key = _existing(connection, name)
    connection.execute(update(systems).where(systems.c.id == key).values(retired=now))
    note_cadence(connection, key)
    note_full_runs(connection, key)


def delete_system(connection: Connection, name: tuple[str, str]) -> Deleted:
    """Delete a system with its runs, records and history.

    Raises:
        UnknownSystemError: there is no such system.
    """
    key = _existing(connection, name)
    of_system = select(runs.c.id).where(runs.c.system == key)
    counted = 0
    for run in connection.execute(of_system.order_by(runs.c.id)).scalars().all():
        connection.execute(delete(bodies).where(*_of_run(bodies.c.record, run)))
        counted += connection.execute(delete(records).where(records.c.run == run, *_of_run(records.c.id, run))).rowcount
    of_cells = select(cells.c.id).where(cells.c.system == key)
    of_series = select(series.c.id).where(series.c.cell.in_(of_cells))
    connection.execute(delete(points).where(points.c.series.in_(of_series)))
    for table, condition in _dependants(key, of_system, of_cells):
        connection.execute(delete(table).where(condition))
    deleted = connection.execute(delete(runs).where(runs.c.system == key)).rowcount
    connection.execute(delete(former_names).where(former_names.c.key == key))
    connection.execute(delete(systems).where(systems.c.id == key))
    return Deleted(deleted, counted)


def _dependants(key: int, of_system: Any, of_cells: Any) -> list[tuple[Table, Any]]:
    return [
        (series, series.c.cell.in_(of_cells)),
        (reported_states, reported_states.c.cell.in_(of_cells)),
        (attention, attention.c.system == key),
        (incidents, incidents.c.system == key),
        (board, board.c.system == key),
        (days, days.c.system == key),
        (closings, closings.c.run.in_(of_system)),
        (events, events.c.run.in_(of_system)),
        (cells, cells.c.system == key),
    ]


def _of_run(column: Any, run: int) -> tuple[Any, ...]:
    return (column.between(literal(run << RECORD_BITS), literal(((run + 1) << RECORD_BITS) - 1)),)


def _existing(connection: Connection, name: tuple[str, str]) -> int:
    query = select(systems.c.id).where(systems.c.site == name[0], systems.c.system == name[1]).with_for_update()
    key: int | None = connection.execute(query).scalar()
    if key is None:
        raise UnknownSystemError(f"no system {'/'.join(name)}. `exaworks collector system list` shows the names.")
    return key
