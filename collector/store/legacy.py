"""Adding what an old client sends, one message a time, in any order and as often as it likes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select

from collector.clock import iso
from collector.errors import Problem
from collector.importers.common import Finding, Source, closing_of, instant, record_of
from collector.importers.legacy import END, Parcel
from collector.outcomes import MISSING, WORD
from collector.store.decoding import Arrival, read_batch, read_closing, read_manifest
from collector.store.names import elsewhere, system_key
from collector.store.records import open_run, store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.tables import cells, closings, events, records, runs
from dashboard_client.schema import Outcome, encode


def store_parcel(connection: Connection, parcel: Parcel, site: str, system: str, now: int) -> dict[str, Any]:
    """Store a message: an event once, a test once for each content it came with; tell which run it belongs to."""
    source = parcel.source(site, system)
    if parcel.event is None:
        return {"run_id": source.run_id, "stored": _store_test(connection, parcel, source, now)}
    return {"run_id": source.run_id, "stored": _store_event(connection, parcel, source, now)}


def _store_event(connection: Connection, parcel: Parcel, source: Source, now: int) -> bool:
    key = system_key(connection, source.site, source.system)
    run = open_run(connection, source.run_id, key, now)
    if run.system != key:
        raise elsewhere(source.run_id)
    same = (events.c.run == run.key, events.c.digest == parcel.digest, events.c.kind == parcel.event)
    if connection.execute(select(events.c.run).where(*same)).scalar() is not None:
        return False
    fact = {"run": run.key, "kind": parcel.event, "digest": parcel.digest, "body": parcel.body, "received": now}
    connection.execute(insert(events).values(**fact))
    if parcel.event == END:
        _close(connection, parcel, source, now)
    elif connection.execute(select(runs.c.digest).where(runs.c.id == run.key)).scalar() is None:
        manifest = parcel.manifest(source.site, source.system, iso(now))
        store_manifest(connection, read_manifest(encode(manifest), now), now, source.origin.value)
    return True


def _close(connection: Connection, parcel: Parcel, source: Source, now: int) -> None:
    """Close a run with what has come of it; the client itself counts nothing."""
    run = connection.execute(select(runs.c.id, runs.c.outcomes).where(runs.c.run_id == source.run_id)).one()
    taken = connection.execute(select(closings.c.sequence).where(closings.c.run == run.id)).scalars().all()
    outcomes = [Outcome(WORD[char]) for char in run.outcomes if char != MISSING]
    ended = instant(parcel.data.get("test_end_time")) or iso(now)
    closing = closing_of(outcomes, ended, sequence=max(taken, default=0) + 1)
    store_closing(connection, source.run_id, read_closing(encode(closing), now), source.site, now)


def _store_test(connection: Connection, parcel: Parcel, source: Source, now: int) -> bool:
    """Store a test: under the attempt it has already, else under the next."""
    found = parcel.finding()
    key = system_key(connection, source.site, source.system)
    query = (
        select(records.c.attempt, records.c.digest)
        .join(runs, runs.c.id == records.c.run)
        .join(cells, cells.c.id == records.c.cell)
        .where(runs.c.run_id == source.run_id, runs.c.system == key, cells.c.case_id == found.case_id)
        .order_by(records.c.attempt)
    )
    attempt = 1
    for stored, digest in connection.execute(query).all():
        if _arrival(source, found, stored, now).digest == digest:
            return False
        attempt = stored + 1
    refused = store_records(connection, [_arrival(source, found, attempt, now)], now)
    if refused:
        raise refused[0][2]
    return True


def _arrival(source: Source, found: Finding, attempt: int, now: int) -> Arrival:
    whole = b'{"records":[' + encode(record_of(source, found, attempt)) + b"]}"
    (item,) = read_batch(whole, now)
    if not isinstance(item, Arrival):
        raise Problem(item[2].status, item[2].kind, item[2].detail, item[2].field)
    return item
