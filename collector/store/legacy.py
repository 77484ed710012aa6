"""Store the messages of an old client, one at a time; their order and repetitions make no difference."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from collector.clock import iso
from collector.errors import Problem
from collector.importers.common import ImportedTest, Source, instant, make_closing, make_record
from collector.importers.legacy import END, LegacyMessage
from collector.outcomes import MISSING, OUTCOME_NAMES
from collector.store.decoding import DecodedRecord, read_batch, read_closing, read_manifest
from collector.store.names import find_system, writer_key
from collector.store.records import open_run, store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.staleness import stale_after_of_system
from collector.store.tables import cells, closings, events, records, runs
from dashboard_client.schema import Outcome, encode


def store_legacy_message(
    connection: Connection, message: LegacyMessage, site: str, system: str, now: int, writer: str | None = None
) -> dict[str, Any]:
    """Store an event once, or a test once for each of its contents; return its run and whether it was stored now.

    ``writer``: who sent it.
    """
    present = find_system(connection, site, system)
    source = message.source(present.site, present.system)
    store = _store_test if message.event is None else _store_event
    stored = store(connection, message, source, present.key, now, writer)
    _set_stale_after(connection, source, present.key)
    return {"run_id": source.run_id, "stored": stored}


def _set_stale_after(connection: Connection, source: Source, system: int) -> None:
    """Let the results become stale; an old client does not state when."""
    undated = (runs.c.run_id == source.run_id, runs.c.system == system, runs.c.stale_after.is_(None))
    key = connection.execute(select(runs.c.id).where(*undated)).scalar()
    if key is not None:
        age = stale_after_of_system(connection, source)
        connection.execute(update(runs).where(runs.c.id == key).values(stale_after=age))


def _store_event(
    connection: Connection, message: LegacyMessage, source: Source, system: int, now: int, writer: str | None
) -> bool:
    written_by = writer_key(connection, writer)
    run = open_run(connection, source.run_id, system, now, written_by)
    same = (events.c.run == run.key, events.c.digest == message.digest, events.c.kind == message.event)
    if connection.execute(select(events.c.run).where(*same)).scalar() is not None:
        return False
    values = {"run": run.key, "kind": message.event, "digest": message.digest, "body": message.body}
    connection.execute(insert(events).values(**values, received=now, writer=written_by))
    if message.event == END:
        _close(connection, message, source, run.key, now, writer)
    elif connection.execute(select(runs.c.digest).where(runs.c.id == run.key)).scalar() is None:
        manifest = message.manifest(source.site, source.system, iso(now))
        store_manifest(connection, read_manifest(encode(manifest), now), now, source.origin.value, writer=writer)
    return True


def _close(
    connection: Connection, message: LegacyMessage, source: Source, run: int, now: int, writer: str | None
) -> None:
    """Close a run with the outcomes stored so far, because the client sends no counts."""
    stored = connection.execute(select(runs.c.outcomes).where(runs.c.id == run)).scalar_one()
    sequences = connection.execute(select(closings.c.sequence).where(closings.c.run == run)).scalars().all()
    outcomes = [Outcome(OUTCOME_NAMES[char]) for char in stored if char != MISSING]
    ended = instant(message.data.get("test_end_time")) or iso(now)
    closing = make_closing(outcomes, ended, sequence=max(sequences, default=0) + 1)
    decoded = read_closing(encode(closing), now)
    store_closing(connection, source.run_id, decoded, source.site, now, source.system, writer)


def _store_test(
    connection: Connection, message: LegacyMessage, source: Source, system: int, now: int, writer: str | None
) -> bool:
    """Store a test as the next attempt, unless an attempt with the same content is stored already."""
    test = message.test()
    query = (
        select(records.c.attempt, records.c.digest)
        .join(runs, runs.c.id == records.c.run)
        .join(cells, cells.c.id == records.c.cell)
        .where(runs.c.run_id == source.run_id, runs.c.system == system, cells.c.case_id == test.case_id)
        .order_by(records.c.attempt)
    )
    attempt = 1
    for stored, digest in connection.execute(query).all():
        if _decoded_record(source, test, stored, now).digest == digest:
            return False
        attempt = stored + 1
    refused = store_records(connection, [_decoded_record(source, test, attempt, now)], now, writer)
    if refused:
        raise refused[0][2]
    return True


def _decoded_record(source: Source, test: ImportedTest, attempt: int, now: int) -> DecodedRecord:
    batch = b'{"records":[' + encode(make_record(source, test, attempt)) + b"]}"
    (item,) = read_batch(batch, now)
    if not isinstance(item, DecodedRecord):
        raise Problem(item[2].status, item[2].kind, item[2].detail, item[2].field)
    return item
