"""Store records and update the roll-ups, all in the transaction of the caller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, Select, Update, bindparam, select, update

from collector.errors import Problem
from collector.outcomes import CHAR
from collector.store.bulk import insert_many
from collector.store.days import add_to_days
from collector.store.decoding import DecodedRecord
from collector.store.months import insert_run, prepare_months
from collector.store.names import (
    CellName,
    SystemRow,
    cell_keys,
    conflict,
    find_system,
    note_contact,
    run_query,
    writer_key,
)
from collector.store.points import RecordMetrics, add_points
from collector.store.rollups import positions, update_rollups
from collector.store.tables import RECORD_BITS, bodies, records, runs
from dashboard_client.schema import Origin, Outcome, Scheduler, Span
from dashboard_client.schema import record_id as schema_record_id

Refusal = tuple[int, str | None, Problem]
"""The index of a record in its batch, its id if it could be read, and the problem."""

MAX_SCHEDULERS = 16

PRUNE_AGAIN = 0
"""The value of ``runs.pruned`` if a record was added after the run was pruned; retention then prunes it again."""


@dataclass
class OpenRun:
    """A run while records are added to it.

    ``dated``: a manifest gave its start; before that, a run starts at the earliest instant in its records.
    ``fresh``: this batch created the run. ``positions``: the position of each cell in ``outcomes``. ``planned``: the
    number of planned cells. ``moved``: the start changed after records were stored. ``touched``: cells whose outcome or
    history may have changed. ``place``: the present names of its site and system.
    """

    key: int
    run_id: str
    system: int
    started: int
    dated: bool
    fresh: bool
    positions: dict[int, int]
    planned: int
    outcomes: list[str]
    records: int
    schedulers: dict[str, str] = field(default_factory=dict)
    pruned: int | None = None
    moved: bool = False
    added: int = 0
    place: tuple[str, str] = ("", "")
    touched: set[int] = field(default_factory=set)
    batch: list[tuple[DecodedRecord, int]] = field(default_factory=list)

    def update_start(self, first: int | None) -> None:
        """Move the start to an earlier instant of a record; this may change the latest run of every cell."""
        if self.dated or first is None or (first >= self.started and not self.fresh):
            return
        self.moved |= bool(self.records)
        self.started, self.fresh = first, False
        self.touched.update(self.positions)

    def set_outcome(self, cell: int, outcome: str) -> None:
        """Set the outcome of a cell; a cell that is not planned is added after the others."""
        position = self.positions.setdefault(cell, len(self.outcomes))
        if position == len(self.outcomes):
            self.outcomes.append(outcome)
        self.outcomes[position] = outcome
        self.touched.add(cell)

    def values(self) -> dict[str, Any]:
        """Return the columns of ``runs`` that change when records are added."""
        extra = list(self.positions)[self.planned :]
        packed = {"extra": json.dumps(extra, separators=(",", ":")), "outcomes": "".join(self.outcomes)}
        sums: dict[str, Any] = {"records": self.records + self.added, "started": self.started}
        sums["schedulers"] = pack_schedulers(self.schedulers)
        return packed | sums | {"pruned": None if self.pruned is None else PRUNE_AGAIN}


def store_records(
    connection: Connection, batch: Sequence[DecodedRecord], now: int, writer: str | None = None
) -> list[Refusal]:
    """Store records, skip those that are already stored, and return those that are refused.

    ``writer``: who sent them.
    """
    refused: list[Refusal] = []
    written_by = writer_key(connection, writer)
    opened = _open_runs(connection, batch, now, written_by)
    rows: list[tuple[Any, ...]] = []
    documents: list[tuple[int, bytes]] = []
    measured: dict[int, list[RecordMetrics]] = {}
    for run in opened:
        for key, cell, decoded in _new_records(connection, run, refused):
            rows.append(_row(key, run, cell, decoded, now, written_by))
            documents.append((key, decoded.body))
            record = decoded.record
            if record.metrics and record.verdict.outcome is Outcome.PASS:
                when = decoded.started or decoded.ended or now
                measured.setdefault(run.system, []).append(RecordMetrics(key, cell, when, record.metrics))
    insert_many(connection, records, rows)
    if documents:
        prepare_months(connection, {run.key for run in opened if run.added}, now)
    insert_many(connection, bodies, documents)
    changed: dict[int, list[OpenRun]] = {}
    for run in opened:
        if run.added:
            connection.execute(_run_update(), {"key": run.key, **run.values()})
            changed.setdefault(run.system, []).append(run)
    for system, members in sorted(changed.items()):
        touched = {run.key: run.touched for run in members}
        update_rollups(connection, system, touched, any(run.moved for run in members))
    for system, metrics in sorted(measured.items()):
        add_points(connection, system, metrics)
    add_to_days(connection, {run.key: run.system for run in opened}, rows)
    note_contact(connection, {run.system for run in opened}, now, batch[-1].skew if batch else None)
    return refused


def record_key(record_id: str) -> int:
    """Return the number in ``records.record_key``: the first eight bytes of the record's id."""
    return int.from_bytes(bytes.fromhex(record_id[:16]), "big", signed=True)


def _open_runs(connection: Connection, batch: Sequence[DecodedRecord], now: int, writer: int | None) -> list[OpenRun]:
    """Find or create the run and the cell of each record, in a fixed order, so that two writers cannot deadlock."""
    pairs = sorted({(decoded.record.context.site, decoded.record.context.system) for decoded in batch})
    systems = {pair: find_system(connection, *pair) for pair in pairs}
    grouped: dict[tuple[SystemRow, str], list[DecodedRecord]] = {}
    for decoded in batch:
        context = decoded.record.context
        grouped.setdefault((systems[context.site, context.system], decoded.record.run_id), []).append(decoded)
    opened: list[OpenRun] = []
    names: dict[int, dict[str, CellName]] = {}
    for (system, run_id), members in sorted(grouped.items()):
        first = min((decoded.first for decoded in members if decoded.first is not None), default=now)
        run = open_run(connection, run_id, system.key, now, writer, first)
        run.place = (system.site, system.system)
        opened.append(run)
        for decoded in members:
            record = decoded.record
            run.batch.append((decoded, 0))
            if record.case_id not in names.setdefault(run.system, {}):
                case = record.case
                imported = record.origin is not Origin.NATIVE
                name = CellName(record.case_id, case.component, tuple(case.partners), case.tier.value, imported)
                names[run.system][record.case_id] = name
    keys = {system: cell_keys(connection, system, wanted.values()) for system, wanted in sorted(names.items())}
    for run in opened:
        run.batch = [(decoded, keys[run.system][decoded.record.case_id]) for decoded, _ in run.batch]
    return opened


def open_run(
    connection: Connection, run_id: str, system: int, now: int, writer: int | None = None, first: int | None = None
) -> OpenRun:
    """Return a run of a system, and create it without a manifest if it is new.

    ``first``: the earliest instant that is known of a new run; it decides to which month the run belongs.
    """
    row = connection.execute(_run_query(), {"named": run_id, "of_system": system}).one_or_none()
    if row is None:
        values = {"run_id": run_id, "system": system, "received": now, "started": now, "partial": True}
        empty = {"extra": "[]", "outcomes": "", "records": 0, "writer": writer}
        key = insert_run(connection, {**values, **empty}, now if first is None else first, now)
        return OpenRun(key, run_id, system, now, False, True, {}, 0, [], 0)
    cell_positions = dict(positions(row.plan_cells, row.extra))
    planned = len(positions(row.plan_cells, "[]"))
    dated = row.digest is not None
    outcomes, schedulers = list(row.outcomes), json.loads(row.schedulers or "{}")
    identity = (row.id, run_id, row.system, row.started, dated, False)
    return OpenRun(*identity, cell_positions, planned, outcomes, row.records, schedulers, row.pruned)


@cache
def _run_update() -> Update:
    return update(runs).where(runs.c.id == bindparam("key"))


@cache
def _run_query() -> Select[Any]:
    query: Select[Any] = run_query()
    return query.where(runs.c.run_id == bindparam("named"), runs.c.system == bindparam("of_system"))


def _new_records(connection: Connection, run: OpenRun, refused: list[Refusal]) -> list[tuple[int, int, DecodedRecord]]:
    """Return key, cell and content of each record of the batch that is not stored yet."""
    digests = _stored_digests(connection, run)
    highest: dict[int, int] = {}
    for cell, attempt in digests:
        highest[cell] = max(attempt, highest.get(cell, 0))
    new = []
    for decoded, cell in run.batch:
        record_id, attempt = decoded.record.record_id, decoded.record.retries.attempt
        stored = digests.get((cell, attempt))
        if stored is not None:
            if stored != decoded.digest:
                problem = conflict("The record is already stored with other content.", stored, decoded.digest)
                refused.append((decoded.index, record_id, problem))
            continue
        number = run.records + run.added
        if number >> RECORD_BITS:
            detail = f"Run {run.run_id} has {1 << RECORD_BITS} records, which is the limit. Use another run_id."
            refused.append((decoded.index, record_id, Problem(422, "run-full", detail)))
            continue
        digests[cell, attempt] = decoded.digest
        new.append(((run.key << RECORD_BITS) | number, cell, decoded))
        run.added += 1
        if attempt > highest.get(cell, 0):
            highest[cell] = attempt
            run.set_outcome(cell, CHAR[decoded.record.verdict.outcome])
        name_schedulers(run.schedulers, decoded.record.scheduler)
        run.update_start(decoded.first)
    return new


def _stored_digests(connection: Connection, run: OpenRun) -> dict[tuple[int, int], bytes]:
    """Return the digests of the stored records of a run by cell and attempt, for the cells of the batch."""
    if not run.batch or not run.records:
        return {}
    batch_cells = [cell for _, cell in run.batch]
    values = {"of_run": run.key, "first": min(batch_cells), "last": max(batch_cells)}
    stored = connection.execute(_digests_query(), values).all()
    return {(cell, attempt): bytes(digest) for cell, attempt, digest in stored}


@cache
def _digests_query() -> Select[Any]:
    of_run = select(records.c.cell, records.c.attempt, records.c.digest).where(records.c.run == bindparam("of_run"))
    return of_run.where(records.c.cell.between(bindparam("first"), bindparam("last")))


def name_schedulers(versions: dict[str, str], scheduler: Scheduler) -> None:
    """Add the schedulers of a record to ``versions``: the highest version of each of the first 16 names.

    The result does not depend on the order of the records.
    """
    for software in (scheduler.outer, scheduler.nested):
        if software is not None and software.version:
            name, version = software.name[:64], software.version[:64] + (" (emulated)" if software.emulated else "")
            if version > versions.get(name, ""):
                versions[name] = version
                if len(versions) > MAX_SCHEDULERS:
                    del versions[max(versions)]


def pack_schedulers(versions: dict[str, str]) -> str | None:
    """Return the value of ``runs.schedulers``."""
    return json.dumps(versions, separators=(",", ":"), sort_keys=True) if versions else None


def _row(key: int, run: OpenRun, cell: int, decoded: DecodedRecord, now: int, writer: int | None) -> tuple[Any, ...]:
    """Return the columns of ``records``, in their order."""
    record = decoded.record
    record_id = record.record_id
    if run.place != (record.context.site, record.context.system):  # the client sent a former name of the system
        record_id = schema_record_id(*run.place, run.run_id, record.case_id, record.retries.attempt)
    cause, timing, scheduler = record.verdict.cause, record.timing, record.scheduler
    diagnosis = record.diagnosis if record.diagnosis is not UNSET else None
    component = record.case.component
    version = next((each.version for each in record.stack.components if each.name == component), None)
    outer, nested = scheduler.outer, scheduler.nested
    return (
        key,
        run.key,
        cell,
        record.retries.attempt,
        record.retries.final,
        record_key(record_id),
        decoded.digest,
        now,
        record.origin.value,
        CHAR[record.verdict.outcome],
        cause.phase.value if cause else None,
        cause.cls.value if cause else None,
        _line(cause.rule, 128) if cause else None,
        _line(cause.evidence, 512) if cause else None,
        _line(version, 128) if version else None,
        (outer is not None and outer.emulated) or (nested is not None and nested.emulated),
        decoded.started,
        decoded.ended,
        _seconds(timing.queue_wait),
        _seconds(timing.run),
        len(record.context.nodes) or None,
        _line(diagnosis.cause_key, 128) if diagnosis else None,
        _line(diagnosis.title, 256) if diagnosis else None,
        writer,
    )


def _seconds(span: Span | None) -> float | None:
    """Return a duration; None if it is not known, also if a clock was set back during it."""
    return span.seconds if span is not None and span.seconds >= 0 else None


def _line(text: str, longest: int) -> str:
    return text.replace("\0", "�")[:longest]
