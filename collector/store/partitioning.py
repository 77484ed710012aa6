"""Partition the bodies of an existing PostgreSQL database by month, each step in one transaction.

First the table ``bodies`` becomes a partition of a new table with the same name: that takes no longer for a big table.
Then the bodies of one month after the other are moved from it to partitions of their own, the newest month first,
because PostgreSQL returns the space at the end of a table to the file system. What has been done follows from the
partitions that exist, so a migration that was interrupted continues with the next month.

Runs that were stored before have keys in the order of their arrival, so their bodies are divided by the month in which
they arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from collector.clock import now_ms
from collector.errors import StoreError
from collector.store.database import Store, tune
from collector.store.months import (
    MONTH_BITS,
    PLAIN_END,
    Partition,
    attach_partition,
    create_partition,
    is_partitioned,
    partitions,
    prepare_months,
    run_key_ranges,
)
from collector.store.tables import RECORD_BITS, runs

EARLIER = "bodies_earlier"
"""The table with the bodies that have not been moved; in the end, those of the oldest month."""

KEYS = "bodies_earlier_keys"

LOCK_TIMEOUT = "60s"
"""How long a step waits for transactions that read or write bodies."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Moved:
    """What a migration did: whether the table was partitioned by it, and the bodies and partitions that it moved."""

    created: bool
    partitions: int
    bodies: int


def partition_bodies(store: Store, report: Report) -> Moved:
    """Partition the bodies, or continue an earlier call; ``report`` prints one line about each step.

    Raises:
        StoreError: the database is not PostgreSQL, or others used the table for too long.
    """
    if store.file is not None:
        raise StoreError(
            f"{store.file} is a SQLite database, which has no partitions. Move the data to PostgreSQL first: "
            "exaworks collector backup, then restore with --database postgresql://HOST/NAME."
        )
    try:
        created = _create(store, report)
        months = _pending(store)
        count = 0
        for number, (start, end) in enumerate(months, 1):
            began = time.monotonic()
            partition, rows = _move(store, start, end)
            if partition is None:
                continue
            count += rows
            seconds = time.monotonic() - began
            report(f"{partition.table}: {rows:,} bodies moved in {seconds:.0f} s ({number} of {len(months)})")
            _return_space(store)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in ("55P03", "40P01"):  # lock_not_available, deadlock_detected
            raise
        raise StoreError(
            f"others have used the table bodies for {LOCK_TIMEOUT}, such as a backup. Completed months are kept, and "
            "the month that was being moved is as before. Run the command again."
        ) from error
    return Moved(created, len(months), count)


def list_partitions(connection: Connection) -> list[dict[str, Any]]:
    """Return each partition with its runs, the start of the oldest and the newest one, and its size in bytes."""
    listed = []
    size = text("SELECT pg_total_relation_size(to_regclass(:table))")
    of_runs = select(func.count(), func.min(runs.c.started), func.max(runs.c.started))
    for each in partitions(connection):
        count, oldest, newest = connection.execute(of_runs.where(runs.c.id.between(each.first, each.end - 1))).one()
        length = connection.execute(size, {"table": each.table}).scalar_one()
        listed.append({"table": each.table, "runs": count, "oldest": oldest, "newest": newest, "bytes": length})
    return listed


def _create(store: Store, report: Report) -> bool:
    """Make ``bodies`` a partitioned table, unless it is one already. Return whether it was done now."""
    with store.reading() as connection:
        if is_partitioned(connection):
            return False
        newest = connection.execute(select(func.max(runs.c.id))).scalar() or 0
    earlier = Partition(EARLIER, 0, ((newest >> MONTH_BITS) + 1) << MONTH_BITS)
    report("checking the keys of the bodies")
    with _locking(store) as connection:  # a constraint that was checked before makes the lock below a short one
        connection.execute(text(f"ALTER TABLE bodies DROP CONSTRAINT IF EXISTS {KEYS}"))
        below = f"CHECK (record < {earlier.end << RECORD_BITS}) NOT VALID"
        connection.execute(text(f"ALTER TABLE bodies ADD CONSTRAINT {KEYS} {below}"))
    with _locking(store) as connection:
        connection.execute(text(f"ALTER TABLE bodies VALIDATE CONSTRAINT {KEYS}"))
    with _locking(store) as connection:
        connection.execute(text("LOCK TABLE bodies IN ACCESS EXCLUSIVE MODE"))
        if is_partitioned(connection):  # by another call
            return False
        connection.execute(text(f"ALTER TABLE bodies RENAME TO {EARLIER}"))
        connection.execute(text(f"ALTER INDEX pk_bodies RENAME TO pk_{EARLIER}"))
        columns = f"LIKE {EARLIER}, CONSTRAINT pk_bodies PRIMARY KEY (record)"
        connection.execute(text(f"CREATE TABLE bodies ({columns}) PARTITION BY RANGE (record)"))
        tune(connection)
        attach_partition(connection, earlier)
        connection.execute(text(f"ALTER TABLE {EARLIER} DROP CONSTRAINT {KEYS}"))
        prepare_months(connection, (), now_ms())
    report(f"bodies is partitioned by month now; the earlier bodies are in {EARLIER}")
    return True


def _pending(store: Store) -> list[tuple[int, int]]:
    """Return the ranges of keys of runs whose bodies are to be moved, the newest first."""
    arrivals = text(
        "SELECT min(id) FROM runs WHERE id < :end "
        "GROUP BY date_trunc('month', to_timestamp(received / 1000.0) AT TIME ZONE 'UTC') ORDER BY 1"
    )
    with store.reading() as connection:
        end = next((each.end for each in partitions(connection) if each.table == EARLIER), 0)
        months = {keys.start >> MONTH_BITS for keys in run_key_ranges(connection) if keys.start < end}
        starts = connection.execute(arrivals, {"end": min(end, PLAIN_END)}).scalars().all()
    dated = [(month << MONTH_BITS, (month + 1) << MONTH_BITS) for month in sorted(months - {0}, reverse=True)]
    return [*dated, *reversed(list(pairwise([*starts[1:], min(end, PLAIN_END)])))]


def _move(store: Store, start: int, end: int) -> tuple[Partition | None, int]:
    """Move the bodies of a range of keys to a partition of their own; return it (None if it exists) and their number.

    Writers of bodies wait until the end, readers only while the bounds of the partitions change.
    """
    with _locking(store) as connection:
        connection.execute(text("LOCK TABLE ONLY bodies IN SHARE ROW EXCLUSIVE MODE"))
        if not any(each.table == EARLIER and each.holds(start) for each in partitions(connection)):
            return None, 0  # another call has moved it meanwhile
        partition = create_partition(connection, start, end, attach=False)
        of_range = f"FROM {EARLIER} WHERE record >= {start << RECORD_BITS}"
        copied = connection.execute(text(f"INSERT INTO {partition.table} SELECT * {of_range}")).rowcount
        deleted = connection.execute(text(f"DELETE {of_range}")).rowcount
        if copied != deleted:
            raise StoreError(f"{partition.table}: {copied} bodies were copied, but {EARLIER} had {deleted}.")
        connection.execute(text(f"ALTER TABLE bodies DETACH PARTITION {EARLIER}"))
        attach_partition(connection, Partition(EARLIER, 0, start))
        attach_partition(connection, partition)
    return partition, copied


def _return_space(store: Store) -> None:
    """Let PostgreSQL return the empty end of the table of the earlier bodies to the file system."""
    with store.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM {EARLIER}"))


@contextmanager
def _locking(store: Store) -> Iterator[Connection]:
    """Yield a connection inside a transaction that does not wait for a lock for ever."""
    with store.writing() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        yield connection
