"""The partitioned layout of PostgreSQL: the bodies of the records of each month are a table of their own.

``exaworks collector partition`` turns the table ``bodies`` into a partitioned one (``partitioning.py``). From then on,
the key of a new run is the month of its start times 2**28 plus its number in that month, so that the keys of a month's
bodies are one range, and no column, id or query has to name the month. Months are counted from January 1970, which is
not used: keys below 2**28 are those of runs that were stored before. SQLite and a PostgreSQL that is not partitioned
continue to number the runs from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from collector.store.tables import RECORD_BITS, runs

MONTH_BITS = 28
"""A month has at most 2**MONTH_BITS runs."""

OLDEST = 120
"""Runs that are older than so many months share a partition with that month, so that no sender can create thousands."""

PLAIN_END = 1 << MONTH_BITS
"""The end of the keys of runs that were stored before the table was partitioned."""

_LOCK = 7305125
_BOUNDS = re.compile(r"FOR VALUES FROM \((?:'(\d+)'|MINVALUE)\) TO \('(\d+)'\)")


@dataclass(frozen=True)
class Partition:
    """A partition of ``bodies``: its table, and the keys of its runs, from ``first`` to before ``end``."""

    table: str
    first: int
    end: int

    def holds(self, run: int) -> bool:
        """Return whether the bodies of a run belong to it."""
        return self.first <= run < self.end


def month_of(started: int, now: int) -> int:
    """Return the month in which a run started, counted from January 1970; both instants are milliseconds since 1970."""
    newest, month = (_months(datetime.fromtimestamp(max(each, 0) / 1000, timezone.utc)) for each in (now, started))
    return max(month, newest - OLDEST, 1)


def month_name(month: int) -> str:
    """Return a month as in names of tables, such as ``2026_11``."""
    return f"{1970 + month // 12}_{month % 12 + 1:02}"


def _months(when: datetime) -> int:
    return 12 * (when.year - 1970) + when.month - 1


def is_partitioned(connection: Connection) -> bool:
    """Return whether the bodies are partitioned by month."""
    if connection.dialect.name != "postgresql":
        return False
    query = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('bodies')")
    return connection.execute(query).scalar() is True


def partitions(connection: Connection) -> list[Partition]:
    """Return the partitions of ``bodies`` in the order of their keys; none if the table is not partitioned."""
    if connection.dialect.name != "postgresql":
        return []
    query = text(
        "SELECT relname, pg_get_expr(relpartbound, pg_class.oid) AS bounds FROM pg_inherits "
        "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass('bodies')"
    )
    found = []
    for row in connection.execute(query):
        bounds = _BOUNDS.fullmatch(row.bounds)
        if bounds is None:
            raise ValueError(f"table {row.relname} is a partition of bodies with bounds of another kind: {row.bounds}")
        found.append(Partition(row.relname, int(bounds[1] or 0) >> RECORD_BITS, int(bounds[2]) >> RECORD_BITS))
    return sorted(found, key=lambda partition: partition.first)


def insert_run(connection: Connection, values: dict[str, Any], started: int, now: int) -> int:
    """Create a run that started at an instant, and return its key."""
    key = _new_run_key(connection, started, now)
    numbered = values if key is None else {"id": key, **values}
    created: int = connection.execute(insert(runs).values(**numbered).returning(runs.c.id)).scalar_one()
    return created


def _new_run_key(connection: Connection, started: int, now: int) -> int | None:
    """Return the key of a new run in the partitioned layout; None if the database numbers the runs itself."""
    if connection.dialect.name != "postgresql":
        return None
    month = month_of(started, now)
    sequence = f"runs_{month_name(month)}"
    query = text(
        "SELECT CASE WHEN relkind = 'p' THEN coalesce(nextval(to_regclass(:sequence)), 0) END "
        "FROM pg_class WHERE oid = to_regclass('bodies')"
    )
    number: int | None = connection.execute(query, {"sequence": sequence}).scalar()
    if number is None:
        return None
    if not number:
        _lock_layout(connection)
        base = month << MONTH_BITS
        within = runs.c.id.between(base, base + PLAIN_END - 1)
        highest = connection.execute(select(func.max(runs.c.id)).where(within)).scalar() or base
        limits = f"MAXVALUE {PLAIN_END - 1} START {highest - base + 1}"
        connection.execute(text(f"CREATE SEQUENCE IF NOT EXISTS {sequence} {limits}"))
        number = connection.execute(query, {"sequence": sequence}).scalar_one()
    return (month << MONTH_BITS) + number


def forget_numbers(connection: Connection) -> None:
    """Drop the counters of the months; each is created again from the runs that are stored."""
    like = text("SELECT relname FROM pg_class WHERE relkind = 'S' AND pg_table_is_visible(oid) AND relname ~ :name")
    for sequence in connection.execute(like, {"name": "^runs_[0-9]{4}_[0-9]{2}$"}).scalars().all():
        connection.execute(text(f"DROP SEQUENCE {sequence}"))


def prepare_months(connection: Connection, keys: Iterable[int], now: int) -> None:
    """Create the partitions that the bodies of runs need, and those of this month and the next one.

    Until the end of the transaction no partition can be dropped. Nothing happens if the table is not partitioned.
    """
    if not is_partitioned(connection):
        return
    this = month_of(now, now)
    wanted = {*keys, this << MONTH_BITS, (this + 1) << MONTH_BITS}
    connection.execute(text("LOCK TABLE ONLY bodies IN ROW EXCLUSIVE MODE"))
    if not _without_partition(connection, wanted):
        return
    _lock_layout(connection)
    for key in sorted(_without_partition(connection, wanted)):
        existing = partitions(connection)
        if not any(each.holds(key) for each in existing):
            create_partition(connection, *_room(key, existing))


def _without_partition(connection: Connection, keys: Iterable[int]) -> list[int]:
    existing = partitions(connection)
    return [key for key in keys if not any(each.holds(key) for each in existing)]


def _room(key: int, existing: list[Partition]) -> tuple[int, int]:
    """Return the keys from the first to before the last that a new partition for a key takes: the free ones of it."""
    base = key >> MONTH_BITS << MONTH_BITS
    first = max([base, *(each.end for each in existing if each.end <= key)])
    return first, min([base + PLAIN_END, *(each.first for each in existing if each.first > key)])


def create_partition(connection: Connection, first: int, end: int, attach: bool = True) -> Partition:
    """Create the partition for the keys of runs from ``first`` to before ``end``.

    A table is created and then attached: this waits for no reader and no writer of the other partitions.
    """
    month = first >> MONTH_BITS
    table = f"bodies_{month_name(month)}" if month else f"bodies_from_run_{first}"
    partition = Partition(table, first, end)
    connection.execute(text(f"CREATE TABLE {table} (LIKE bodies INCLUDING ALL)"))
    if attach:
        attach_partition(connection, partition)
    return partition


def attach_partition(connection: Connection, partition: Partition) -> None:
    """Make a table a partition of ``bodies``."""
    lower = f"({partition.first << RECORD_BITS})" if partition.first else "(MINVALUE)"
    bounds = f"FOR VALUES FROM {lower} TO ({partition.end << RECORD_BITS})"
    connection.execute(text(f"ALTER TABLE bodies ATTACH PARTITION {partition.table} {bounds}"))


def run_key_ranges(connection: Connection) -> Iterator[range]:
    """Yield the ranges in which the keys of the runs are dense, the highest first: each month, then the other runs."""
    last = connection.execute(select(func.max(runs.c.id))).scalar()
    while last is not None:
        base = last >> MONTH_BITS << MONTH_BITS
        yield range(connection.execute(select(func.min(runs.c.id)).where(runs.c.id >= base)).scalar_one(), last + 1)
        last = connection.execute(select(func.max(runs.c.id)).where(runs.c.id < base)).scalar()


def _lock_layout(connection: Connection) -> None:
    """Wait for another process that creates a partition; the next one continues after the commit."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
