"""Adding records: all work is done in the transaction it is given, roll-ups included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert, select, update

from collector.errors import Problem
from collector.outcomes import CHAR
from collector.store.bulk import insert_many
from collector.store.days import add_to_days
from collector.store.decoding import Arrival
from collector.store.names import CellName, cell_keys, conflict, contacted, elsewhere, run_query, system_key
from collector.store.points import Measured, add_points
from collector.store.rollups import positions, settle
from collector.store.tables import RECORD_BITS, bodies, records, runs
from dashboard_client.schema import Outcome, Scheduler

Refusal = tuple[int, str | None, Problem]
"""The index of a record in its batch, its id where it could be read, and what is wrong with it."""

MOST_SCHEDULERS = 16

NEW_SINCE = 0
"""What ``runs.pruned`` holds when a record was added since: retention looks at the run again."""


@dataclass
class OpenRun:
    """A run while records are added to it."""

    key: int
    run_id: str
    system: int
    started: int
    dated: bool  # by its manifest; until that comes a run began with the earliest instant in its records
    fresh: bool  # made by this batch
    places: dict[int, int]  # of each cell in the outcomes
    planned: int
    outcomes: list[str]
    records: int
    schedulers: dict[str, str] = field(default_factory=dict)
    pruned: int | None = None
    moved: bool = False
    added: int = 0
    touched: set[int] = field(default_factory=set)
    arrivals: list[tuple[Arrival, int]] = field(default_factory=list)

    def date(self, first: int | None) -> None:
        """Take an earlier start from a record; what every cell's latest is may change with it."""
        if self.dated or first is None or (first >= self.started and not self.fresh):
            return
        self.moved |= bool(self.records)
        self.started, self.fresh = first, False
        self.touched.update(self.places)

    def show(self, cell: int, outcome: str) -> None:
        """Write a cell's outcome, making a place for a case that nobody planned."""
        place = self.places.setdefault(cell, len(self.outcomes))
        if place == len(self.outcomes):
            self.outcomes.append(outcome)
        self.outcomes[place] = outcome
        self.touched.add(cell)

    def values(self) -> dict[str, Any]:
        """Return the columns that adding records changes."""
        extra = list(self.places)[self.planned :]
        packed = {"extra": json.dumps(extra, separators=(",", ":")), "outcomes": "".join(self.outcomes)}
        told = pack_schedulers(self.schedulers)
        summed = {"records": self.records + self.added, "started": self.started, "schedulers": told}
        return packed | summed | {"pruned": None if self.pruned is None else NEW_SINCE}


def store_records(connection: Connection, arrivals: Sequence[Arrival], now: int) -> list[Refusal]:
    """Add records, skip those that are there already, and return those that contradict what is there."""
    refused: list[Refusal] = []
    opened = _open_runs(connection, arrivals, now, refused)
    rows: list[tuple[Any, ...]] = []
    documents: list[tuple[int, bytes]] = []
    measured: dict[int, list[Measured]] = {}
    for run in opened:
        for key, cell, arrival in _new_of(connection, run, refused):
            rows.append(_row(key, run.key, cell, arrival, now))
            documents.append((key, arrival.body))
            record = arrival.record
            if record.metrics and record.verdict.outcome is Outcome.PASS:
                when = arrival.started or arrival.ended or now
                measured.setdefault(run.system, []).append(Measured(key, cell, when, record.metrics))
    insert_many(connection, records, rows)
    insert_many(connection, bodies, documents)
    changed: dict[int, list[OpenRun]] = {}
    for run in opened:
        if run.added:
            connection.execute(update(runs).where(runs.c.id == run.key).values(**run.values()))
            changed.setdefault(run.system, []).append(run)
    for system, some in sorted(changed.items()):
        settle(connection, system, {run.key: run.touched for run in some}, any(run.moved for run in some))
    for system, found in sorted(measured.items()):
        add_points(connection, system, found)
    add_to_days(connection, {run.key: run.system for run in opened}, rows)
    contacted(connection, {run.system for run in opened}, now)
    return refused


def record_key(record_id: str) -> int:
    """Return the number under which a record is looked up."""
    return int.from_bytes(bytes.fromhex(record_id[:16]), "big", signed=True)


def _open_runs(connection: Connection, arrivals: Sequence[Arrival], now: int, refused: list[Refusal]) -> list[OpenRun]:
    """Find or make the run and the cell of each record, in an order that cannot deadlock two writers."""
    places = sorted({(arrival.record.context.site, arrival.record.context.system) for arrival in arrivals})
    systems = {place: system_key(connection, *place) for place in places}
    grouped: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        grouped.setdefault(arrival.record.run_id, []).append(arrival)
    opened: list[OpenRun] = []
    names: dict[int, dict[str, CellName]] = {}
    for run_id, members in sorted(grouped.items()):
        context = members[0].record.context
        run = open_run(connection, run_id, systems[context.site, context.system], now)
        opened.append(run)
        for arrival in members:
            record = arrival.record
            if systems[record.context.site, record.context.system] != run.system:
                refused.append((arrival.index, record.record_id, elsewhere(run_id)))
                continue
            run.arrivals.append((arrival, 0))
            if record.case_id not in names.setdefault(run.system, {}):
                case = record.case
                name = CellName(record.case_id, case.component, tuple(case.partners), case.tier.value)
                names[run.system][record.case_id] = name
    keys = {system: cell_keys(connection, system, wanted.values()) for system, wanted in sorted(names.items())}
    for run in opened:
        run.arrivals = [(arrival, keys[run.system][arrival.record.case_id]) for arrival, _ in run.arrivals]
    return opened


def open_run(connection: Connection, run_id: str, system: int, now: int) -> OpenRun:
    """Find a run, or make one that is known by what comes of it alone."""
    row = connection.execute(run_query().where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        values = {"run_id": run_id, "system": system, "received": now, "started": now, "partial": True}
        empty = {"extra": "[]", "outcomes": "", "records": 0}
        key = connection.execute(insert(runs).values(**values, **empty).returning(runs.c.id)).scalar_one()
        return OpenRun(key, run_id, system, now, False, True, {}, 0, [], 0)
    places = dict(positions(row.plan_cells, row.extra))
    planned = len(positions(row.plan_cells, "[]"))
    dated = row.digest is not None
    outcomes, told = list(row.outcomes), json.loads(row.schedulers or "{}")
    named = (row.id, run_id, row.system, row.started, dated, False, places, planned)
    return OpenRun(*named, outcomes, row.records, told, row.pruned)


def _new_of(connection: Connection, run: OpenRun, refused: list[Refusal]) -> list[tuple[int, int, Arrival]]:
    """Return key, cell and arrival of each record of the batch that the run does not hold yet."""
    there = _already_there(connection, run)
    highest: dict[int, int] = {}
    for cell, attempt in there:
        highest[cell] = max(attempt, highest.get(cell, 0))
    new = []
    for arrival, cell in run.arrivals:
        record_id, attempt = arrival.record.record_id, arrival.record.retries.attempt
        stored = there.get((cell, attempt))
        if stored is not None:
            if stored != arrival.digest:
                problem = conflict("The record is there with other content.", stored, arrival.digest)
                refused.append((arrival.index, record_id, problem))
            continue
        number = run.records + run.added
        if number >> RECORD_BITS:
            full = Problem(422, "run-full", f"Run {run.run_id} holds {1 << RECORD_BITS} records and takes no more.")
            refused.append((arrival.index, record_id, full))
            continue
        there[cell, attempt] = arrival.digest
        new.append(((run.key << RECORD_BITS) | number, cell, arrival))
        run.added += 1
        if attempt > highest.get(cell, 0):
            highest[cell] = attempt
            run.show(cell, CHAR[arrival.record.verdict.outcome])
        name_schedulers(run.schedulers, arrival.record.scheduler)
        run.date(arrival.first)
    return new


def _already_there(connection: Connection, run: OpenRun) -> dict[tuple[int, int], bytes]:
    """Return the digest of each attempt stored for the cells that the batch is about."""
    if not run.arrivals or not run.records:
        return {}
    about = [cell for _, cell in run.arrivals]
    query = select(records.c.cell, records.c.attempt, records.c.digest).where(
        records.c.run == run.key, records.c.cell.between(min(about), max(about))
    )
    return {(cell, attempt): bytes(digest) for cell, attempt, digest in connection.execute(query)}


def name_schedulers(told: dict[str, str], scheduler: Scheduler) -> None:
    """Note the version of each scheduler of a record: the greatest of a name and the first 16 names, in any order."""
    for software in (scheduler.outer, scheduler.nested):
        if software is not None and software.version:
            name, version = software.name[:64], software.version[:64] + (" (emulated)" if software.emulated else "")
            if version > told.get(name, ""):
                told[name] = version
                if len(told) > MOST_SCHEDULERS:
                    del told[max(told)]


def pack_schedulers(told: dict[str, str]) -> str | None:
    """Write what ``runs.schedulers`` holds."""
    return json.dumps(told, separators=(",", ":"), sort_keys=True) if told else None


def _row(key: int, run: int, cell: int, arrival: Arrival, now: int) -> tuple[Any, ...]:
    """Return the columns of ``records``, in their order."""
    record = arrival.record
    cause, timing, scheduler = record.verdict.cause, record.timing, record.scheduler
    component = record.case.component
    version = next((found.version for found in record.stack.components if found.name == component), None)
    outer, nested = scheduler.outer, scheduler.nested
    return (
        key,
        run,
        cell,
        record.retries.attempt,
        record.retries.final,
        record_key(record.record_id),
        arrival.digest,
        now,
        record.origin.value,
        CHAR[record.verdict.outcome],
        cause.phase.value if cause else None,
        cause.cls.value if cause else None,
        _line(cause.rule, 128) if cause else None,
        _line(cause.evidence, 512) if cause else None,
        _line(version, 128) if version else None,
        (outer is not None and outer.emulated) or (nested is not None and nested.emulated),
        arrival.started,
        arrival.ended,
        timing.queue_wait.seconds if timing.queue_wait else None,
        timing.run.seconds if timing.run else None,
        len(record.context.nodes) or None,
    )


def _line(text: str, longest: int) -> str:
    return text.replace("\0", "�")[:longest]
