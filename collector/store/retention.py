"""Delete old data: output tails first, whole bodies later, and old entries of the audit log. Verdicts always stay.

The digest of a record stays too, so that a record that is sent again is acknowledged as before and restores nothing.
The tier of a run is that of its manifest. A run without a manifest is pruned only if no tier is given.

If the bodies are partitioned by month, the partition of a month is dropped as soon as all its runs are old enough. Its
bodies stay until then, up to a month longer than without partitions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, text, update
from sqlalchemy.exc import OperationalError

from collector.store.database import Store
from collector.store.months import Partition, partitions
from collector.store.space import shorten_log
from collector.store.tables import RECORD_BITS, bodies, runs
from dashboard_client.schema import Record, encode

TAILS, BODIES = 1, 2
_RUNS_PER_TRANSACTION = 20

TAILS_DAYS, BODIES_DAYS, LOG_DAYS = 180, 1095, 400
"""The default retention, in days. Only ``exaworks collector prune`` deletes; the server itself keeps everything."""

WAIT_MS = 31 * 86_400_000
"""How much longer than its time a body stays if its whole partition can be dropped by then."""

LOCK_TIMEOUT = "10s"
"""How long the deletion of a partition waits for readers; afterwards the rows are deleted instead."""


class _RunAddedError(Exception):
    """A run that is not old was added to a partition while it was to be dropped."""


@dataclass
class Pruned:
    """The number of runs, records and bytes that were pruned, or would be; and of partitions that were dropped.

    The bytes of a partition are those of its files.
    """

    runs: int = 0
    records: int = 0
    bytes: int = 0
    partitions: int = 0

    def add(self, other: Pruned) -> None:
        self.runs += other.runs
        self.records += other.records
        self.bytes += other.bytes
        self.partitions += other.partitions


def prune(store: Store, level: int, before: int, dry: bool = False, tiers: Collection[str] = ()) -> Pruned:
    """Delete output tails or bodies of runs that started before an instant, a few runs in each transaction.

    ``level``: ``TAILS`` or ``BODIES``. ``before``: milliseconds since 1970. ``dry``: count only, change nothing.
    ``tiers``: only runs of these tiers; empty for all runs.
    """
    pruned = Pruned()
    last = -1
    shorten_log(store)  # on a full disk, the transactions below need room in the log
    old = [runs.c.started < before, *([runs.c.tier.in_(tiers)] if tiers else [])]
    unpruned = or_(runs.c.pruned.is_(None), runs.c.pruned < level)
    whole = _prune_partitions(store, before, dry, pruned) if level == BODIES and not tiers else []
    while True:
        with store.writing() as connection:
            query = select(runs.c.id).where(*old, unpruned, *whole, runs.c.id > last)
            query = query.order_by(runs.c.id).limit(_RUNS_PER_TRANSACTION)
            batch = list(connection.execute(query.with_for_update()).scalars())
            if not batch:
                return pruned
            last = batch[-1]
            for run in batch:
                within = bodies.c.record.between(run << RECORD_BITS, ((run + 1) << RECORD_BITS) - 1)
                for key, body in connection.execute(select(bodies.c.record, bodies.c.body).where(within)).all():
                    shorter = b"" if level == BODIES else _without_tail(body)
                    if len(shorter) == len(body):
                        continue
                    pruned.records += 1
                    pruned.bytes += len(body) - len(shorter)
                    if not dry and level == TAILS:
                        connection.execute(update(bodies).where(bodies.c.record == key).values(body=shorter))
                pruned.runs += 1
                if not dry:
                    if level == BODIES:
                        connection.execute(delete(bodies).where(within))
                    connection.execute(update(runs).where(runs.c.id == run).values(pruned=level))


def _prune_partitions(store: Store, before: int, dry: bool, pruned: Pruned) -> list[ColumnElement[bool]]:
    """Drop the partitions of which all runs are old.

    Return the conditions that exclude the runs of partitions that were dropped, or that can be dropped within
    ``WAIT_MS``; the bodies of all other old runs are deleted row by row.
    """
    excluded = []
    with store.reading() as connection:
        found = partitions(connection)
        latest = select(func.max(runs.c.started))
        newest = {each: connection.execute(latest.where(_within(each))).scalar() for each in found}
    for each in found:
        started = newest[each]
        if started is None or started >= before + WAIT_MS:
            continue
        if started < before:
            try:
                with store.writing() as connection:
                    counted = _drop(connection, each, before, dry)
            except _RunAddedError:
                continue
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                continue
            pruned.add(counted)
        excluded.append(~_within(each))
    return excluded


def _drop(connection: Connection, partition: Partition, before: int, dry: bool) -> Pruned:
    """Drop a partition and mark its runs as pruned.

    Raises:
        _RunAddedError: a run that is not old was added to it meanwhile; the caller rolls back.
    """
    affected = (_within(partition), or_(runs.c.pruned.is_(None), runs.c.pruned < BODIES))
    sums = select(func.count(), func.coalesce(func.sum(runs.c.records), 0)).where(*affected)
    size = text("SELECT pg_total_relation_size(to_regclass(:table))")
    count, of_records = connection.execute(sums).one()
    length = connection.execute(size, {"table": partition.table}).scalar_one()
    if not dry:
        connection.execute(update(runs).where(*affected, runs.c.started < before).values(pruned=BODIES))
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        # Writers lock a run before this table, so this order cannot deadlock.
        connection.execute(text("LOCK TABLE ONLY bodies IN ACCESS EXCLUSIVE MODE"))
        if connection.execute(select(runs.c.id).where(*affected).limit(1)).scalar() is not None:
            raise _RunAddedError
        connection.execute(text(f"DROP TABLE {partition.table}"))
    return Pruned(count, of_records, length, 1)


def _within(partition: Partition) -> ColumnElement[bool]:
    return runs.c.id.between(partition.first, partition.end - 1)


def _without_tail(body: bytes) -> bytes:
    record = msgspec.json.decode(body, type=Record)
    slim = msgspec.structs.replace(record, evidence=msgspec.structs.replace(record.evidence, output_tail=None))
    if record.diagnosis is not msgspec.UNSET:
        diagnosis = msgspec.structs.replace(record.diagnosis, answer=None, logs=[])
        slim = msgspec.structs.replace(slim, diagnosis=diagnosis)
    return encode(slim) if slim != record else body
