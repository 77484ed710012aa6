"""Delete old data: output tails first, whole bodies later, and old entries of the audit log. Verdicts always stay.

The digest of a record stays too, so that a record that is sent again is acknowledged as before and restores nothing.
The tier of a run is that of its manifest. A run without a manifest is pruned only if no tier is given.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import delete, or_, select, update

from collector.store.database import Store
from collector.store.space import shorten_log
from collector.store.tables import RECORD_BITS, bodies, runs
from dashboard_client.schema import Record, encode

TAILS, BODIES = 1, 2
_RUNS_PER_TRANSACTION = 20

TAILS_DAYS, BODIES_DAYS, LOG_DAYS = 180, 1095, 400
"""The default retention, in days. Only ``exaworks collector prune`` deletes; the server itself keeps everything."""


@dataclass
class Pruned:
    """The number of runs, records and bytes that were pruned, or would be."""

    runs: int = 0
    records: int = 0
    bytes: int = 0


def prune(store: Store, level: int, before: int, dry: bool = False, tiers: Collection[str] = ()) -> Pruned:
    """Delete output tails or bodies of runs that started before an instant, a few runs in each transaction.

    ``level``: ``TAILS`` or ``BODIES``. ``before``: milliseconds since 1970. ``dry``: count only, change nothing.
    ``tiers``: only runs of these tiers; empty for all runs.
    """
    pruned = Pruned()
    last = -1
    shorten_log(store)  # on a full disk, the transactions below need room in the log
    while True:
        with store.writing() as connection:
            due = (runs.c.started < before, or_(runs.c.pruned.is_(None), runs.c.pruned < level), runs.c.id > last)
            of_tiers = (runs.c.tier.in_(tiers),) if tiers else ()
            query = select(runs.c.id).where(*due, *of_tiers).order_by(runs.c.id).limit(_RUNS_PER_TRANSACTION)
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


def _without_tail(body: bytes) -> bytes:
    record = msgspec.json.decode(body, type=Record)
    slim = msgspec.structs.replace(record, evidence=msgspec.structs.replace(record.evidence, output_tail=None))
    if record.diagnosis is not msgspec.UNSET:
        diagnosis = msgspec.structs.replace(record.diagnosis, answer=None, logs=[])
        slim = msgspec.structs.replace(slim, diagnosis=diagnosis)
    return encode(slim) if slim != record else body
