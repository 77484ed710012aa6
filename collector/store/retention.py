"""Letting go of what is old: output tails first, whole bodies later if wanted; verdicts and roll-ups always stay.

The digest of a record stays too, so that sending it again is acknowledged as before and brings nothing back. A run is
of the tier that its manifest says, and goes without one only where no tier is asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from sqlalchemy import delete, or_, select, update

from collector.store.database import Store
from collector.store.tables import RECORD_BITS, bodies, runs
from dashboard_client.schema import Record, encode

TAILS, BODIES = 1, 2
_AT_ONCE = 20


@dataclass
class Pruned:
    """What was let go, or would be."""

    runs: int = 0
    records: int = 0
    bytes: int = 0


def prune(store: Store, level: int, before: int, dry: bool = False, tiers: Collection[str] = ()) -> Pruned:
    """Take tails or bodies from runs that began before an instant, of some tiers or all, a few runs in a transaction.

    ``dry`` looks at everything, changes nothing and keeps writers waiting no longer than a change would.
    """
    done = Pruned()
    last = -1
    while True:
        with store.writing() as connection:
            due = (runs.c.started < before, or_(runs.c.pruned.is_(None), runs.c.pruned < level), runs.c.id > last)
            wanted = (runs.c.tier.in_(tiers),) if tiers else ()
            query = select(runs.c.id).where(*due, *wanted).order_by(runs.c.id).limit(_AT_ONCE).with_for_update()
            some = list(connection.execute(query).scalars())
            if not some:
                return done
            last = some[-1]
            for run in some:
                within = bodies.c.record.between(run << RECORD_BITS, ((run + 1) << RECORD_BITS) - 1)
                for key, body in connection.execute(select(bodies.c.record, bodies.c.body).where(within)).all():
                    short = b"" if level == BODIES else _without_tail(body)
                    if len(short) == len(body):
                        continue
                    done.records += 1
                    done.bytes += len(body) - len(short)
                    if not dry and level == TAILS:
                        connection.execute(update(bodies).where(bodies.c.record == key).values(body=short))
                done.runs += 1
                if not dry:
                    if level == BODIES:
                        connection.execute(delete(bodies).where(within))
                    connection.execute(update(runs).where(runs.c.id == run).values(pruned=level))


def _without_tail(body: bytes) -> bytes:
    record = msgspec.json.decode(body, type=Record)
    if record.evidence.output_tail is None:
        return body
    evidence = msgspec.structs.replace(record.evidence, output_tail=None)
    return encode(msgspec.structs.replace(record, evidence=evidence))
