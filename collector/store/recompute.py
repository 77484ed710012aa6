"""Making the roll-ups anew from the facts, to repair them or to prove that they are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Row, delete, literal_column, select, update

from collector.outcomes import MISSING, PASS
from collector.store.bulk import among, update_many
from collector.store.days import Sums, sum_days, write_days
from collector.store.points import ROLLED_UP, Measured, add_points, follow
from collector.store.records import name_schedulers, pack_schedulers
from collector.store.rollups import (
    DETAILS,
    NO_DETAILS,
    STREAK,
    details,
    note_full_runs,
    parse_cells,
    refresh_board,
    retell,
)
from collector.store.streaks import Streak
from collector.store.tables import (
    RECORD_BITS,
    board,
    bodies,
    cells,
    days,
    plans,
    points,
    records,
    runs,
    series,
    systems,
)
from dashboard_client.schema import Metric, Scheduler

_PAGE = 2000
SHOWN = 20

SYSTEM_SUMS = ("full_smoke", "full_integration", "full_scale", "trended", "worse")

SNAPSHOTS = {
    "cells": (cells, (cells.c.id,), (*STREAK, *DETAILS)),
    "board": (board, (board.c.system, board.c.subject), tuple(board.c)[2:]),
    "days": (days, (days.c.system, days.c.day), tuple(days.c)[2:]),
    "runs": (runs, (runs.c.id,), (runs.c.extra, runs.c.outcomes, runs.c.records, runs.c.schedulers)),
    "systems": (systems, (systems.c.id,), tuple(systems.c[name] for name in SYSTEM_SUMS)),
    "points": (points, (points.c.series, points.c.record), (points.c.started, points.c.value)),
    "series": (series, (series.c.id,), ROLLED_UP),
}


class Body(msgspec.Struct, frozen=True):
    """What of a body is rolled up and in no column of its record."""

    scheduler: Scheduler
    metrics: list[Metric] = []


_body = msgspec.json.Decoder(Body)


@dataclass
class Findings:
    """What a verification found: how much was looked at, and what is wrong, the first few in words."""

    runs: int = 0
    records: int = 0
    bodies: int = 0
    wrong: int = 0
    said: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        self.wrong += 1
        if len(self.said) < SHOWN:
            self.said.append(what)


def rebuild(connection: Connection, findings: Findings | None = None) -> None:
    """Write every roll-up anew; on the way compare bodies with digests and records with what they hang on."""
    findings = Findings() if findings is None else findings
    connection.execute(delete(days))
    of_run: dict[int, int] = {}
    sums: Sums = {}
    measured: dict[int, list[Measured]] = {}
    whole: list[int] = []
    for run in _runs(connection):
        of_run[run.id] = run.system
        rows = _records(connection, run.id)
        sum_days(of_run, rows, sums)
        schedulers, found = _read_bodies(connection, run, rows, findings)
        if found is not None:
            whole.append(run.id)
            measured.setdefault(run.system, []).extend(found)
        values = _outcomes(run, rows) | {"schedulers": schedulers}
        if any(getattr(run, name) != value for name, value in values.items()):
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    write_days(connection, sums)
    run_of_point = points.c.record.op(">>", return_type=BigInteger())(literal_column(str(RECORD_BITS)))
    connection.execute(delete(points).where(among(connection, run_of_point, whole)))
    for system in connection.execute(select(systems.c.id).order_by(systems.c.id)).scalars().all():
        wanted = set(connection.execute(select(cells.c.id).where(cells.c.system == system)).scalars())
        told: dict[int, Streak] = retell(connection, system, wanted)
        found_details = details(connection, told)
        changed = [(*streak, *found_details.get(cell, NO_DETAILS), cell) for cell, streak in sorted(told.items())]
        update_many(connection, cells, (*STREAK, *DETAILS), changed)
        note_full_runs(connection, system)
        refresh_board(connection, system)
        add_points(connection, system, measured.get(system, []))
        follow(connection, system)


def verify(connection: Connection) -> Findings:
    """Rebuild the roll-ups and compare them with what was there; check every body against its digest.

    The transaction then holds what was rebuilt: commit it to repair, or undo it.
    """
    findings = Findings()
    _check_keys(connection, findings)
    before = _snapshot(connection)
    rebuild(connection, findings)
    after = _snapshot(connection)
    for table, rows in after.items():
        for key in sorted(rows.keys() | before[table].keys()):
            was, ought = before[table].get(key), rows.get(key)
            if was != ought:
                findings.add(f"{table} {'/'.join(map(str, key))}: is {was}, but the facts make it {ought}")
    return findings


def _check_keys(connection: Connection, findings: Findings) -> None:
    """Find what hangs on nothing: the database itself does not look after the keys of these tables."""
    for column, other in (
        (records.c.run, runs.c.id),
        (records.c.cell, cells.c.id),
        (bodies.c.record, records.c.id),
        (points.c.record, records.c.id),
        (points.c.series, series.c.id),
    ):
        lost = select(column).where(~select(other).where(other == column).exists()).limit(SHOWN)
        for key in connection.execute(lost).scalars():
            findings.add(f"{column.table.name}: {column.name} {key} is not in {other.table.name}")


def _read_bodies(
    connection: Connection, run: Row[Any], rows: list[Row[Any]], findings: Findings
) -> tuple[str | None, list[Measured] | None]:
    """Check the bodies of a run, and return its schedulers and what it measured; None where not all bodies are there.

    Retention may have taken tails, and with them the match with the digest, or whole bodies: then what they said stays.
    """
    findings.runs += 1
    findings.records += len(rows)
    if run.records != len(rows):
        findings.add(f"run {run.run_id}: says {run.records} records, has {len(rows)}")
    within = bodies.c.record.between(run.id << RECORD_BITS, ((run.id + 1) << RECORD_BITS) - 1)
    by_key = {row.id: row for row in rows}
    schedulers: dict[str, str] = {}
    measured: list[Measured] = []
    kept = []
    for key, body in connection.execute(select(bodies.c.record, bodies.c.body).where(within)):
        kept.append(key)
        row = by_key.get(key)
        if run.pruned is None and (row is None or bytes(row.digest) != hashlib.sha256(body).digest()):
            findings.add(f"run {run.run_id}: the body of record {key} is not the one that was acknowledged")
        try:
            said = _body.decode(body)
        except msgspec.MsgspecError:
            continue
        name_schedulers(schedulers, said.scheduler)
        if said.metrics and row is not None and row.outcome == PASS:
            when = row.started or row.ended or row.received
            measured.append(Measured(key, row.cell, when, said.metrics))
    findings.bodies += len(kept)
    if run.pruned is None and len(kept) != len(rows):
        findings.add(f"run {run.run_id}: {len(rows) - len(kept)} records have lost their body")
    if len(kept) != len(rows):
        return run.schedulers, None
    return pack_schedulers(schedulers), measured


def _runs(connection: Connection) -> Iterator[Any]:
    """Yield every run with its plan, some at a time, so that they may be changed meanwhile."""
    names = ("id", "run_id", "system", "extra", "outcomes", "records", "schedulers", "pruned")
    query = select(*(runs.c[name] for name in names), plans.c.cells.label("plan"))
    query = query.outerjoin(plans, plans.c.id == runs.c.plan).order_by(runs.c.id).limit(_PAGE)
    last = -1
    while rows := connection.execute(query.where(runs.c.id > last)).all():
        yield from rows
        last = rows[-1].id


def _records(connection: Connection, run: int) -> list[Row[Any]]:
    within = records.c.id.between(run << RECORD_BITS, ((run + 1) << RECORD_BITS) - 1)
    return list(connection.execute(select(records).where(within, records.c.run == run).order_by(records.c.id)))


def _outcomes(run: Row[Any], rows: list[Row[Any]]) -> dict[str, Any]:
    """Return what the records of a run make of it: planned cells first, the others in the order they came."""
    layout = list(parse_cells(run.plan)) if run.plan else []
    best: dict[int, tuple[int, str]] = dict.fromkeys(layout, (0, MISSING))
    for row in rows:
        if row.attempt > best.get(row.cell, (0, ""))[0]:
            best[row.cell] = (row.attempt, row.outcome)
    extra = list(best)[len(layout) :]
    packed = json.dumps(extra, separators=(",", ":"))
    return {"extra": packed, "outcomes": "".join(char for _, char in best.values()), "records": len(rows)}


def _snapshot(connection: Connection) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    taken = {}
    for name, (_, key, columns) in SNAPSHOTS.items():
        rows = connection.execute(select(*key, *columns))
        taken[name] = {tuple(row[: len(key)]): tuple(row[len(key) :]) for row in rows}
    return taken
