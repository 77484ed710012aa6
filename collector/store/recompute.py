"""Recompute the roll-ups from the facts, to repair them or to verify that they are right."""

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
from collector.store.owners import note_owner
from collector.store.points import ROLLED_UP, RecordMetrics, add_points, recompute_series
from collector.store.records import name_schedulers, pack_schedulers
from collector.store.rollups import (
    DETAILS,
    NO_DETAILS,
    STREAK,
    details,
    note_full_runs,
    parse_cells,
    recompute_streaks,
    refresh_board,
)
from collector.store.silence import note_cadence
from collector.store.streaks import Streak
from collector.store.tables import (
    RECORD_BITS,
    attention,
    board,
    bodies,
    cells,
    days,
    incidents,
    plans,
    points,
    records,
    runs,
    series,
    systems,
)
from dashboard_client.schema import Metric, Scheduler

_PAGE = 2000
MAX_PROBLEMS = 20
"""The number of problems of one kind that a verification describes; the others are only counted."""

SYSTEM_SUMS = (
    *("full_smoke", "full_integration", "full_scale", "trended", "worse", "silent_from", "owner", "tiles"),
    *("failing", "newest_failure", "failing_by"),
)

SNAPSHOTS = {
    "cells": (cells, (cells.c.id,), (*STREAK, *DETAILS)),
    "attention": (attention, (attention.c.cell,), tuple(attention.c)[1:]),
    "incidents": (incidents, tuple(incidents.c)[:-1], (incidents.c.cells,)),
    "board": (board, (board.c.system, board.c.subject), tuple(board.c)[2:]),
    "days": (days, (days.c.system, days.c.day), tuple(days.c)[2:]),
    "runs": (runs, (runs.c.id,), (runs.c.extra, runs.c.outcomes, runs.c.records, runs.c.schedulers)),
    "systems": (systems, (systems.c.id,), tuple(systems.c[name] for name in SYSTEM_SUMS)),
    "points": (points, (points.c.series, points.c.record), (points.c.started, points.c.value)),
    "series": (series, (series.c.id,), ROLLED_UP),
}


class Body(msgspec.Struct, frozen=True):
    """The parts of a body that are rolled up and that no column of the record contains."""

    scheduler: Scheduler
    metrics: list[Metric] = []


_body = msgspec.json.Decoder(Body)


@dataclass
class VerificationReport:
    """The result of a verification: how much was checked, how much is wrong, and the first problems as text."""

    runs: int = 0
    records: int = 0
    bodies: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        self.wrong += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def recompute_rollups(connection: Connection, report: VerificationReport | None = None) -> None:
    """Recompute every roll-up; while doing so, compare each body with its digest and count records and bodies."""
    report = VerificationReport() if report is None else report
    connection.execute(delete(days))
    of_run: dict[int, int] = {}
    sums: Sums = {}
    measured: dict[int, list[RecordMetrics]] = {}
    complete: list[int] = []
    for run in _runs(connection):
        of_run[run.id] = run.system
        rows = _records(connection, run.id)
        sum_days(of_run, rows, sums)
        schedulers, metrics = _read_bodies(connection, run, rows, report)
        if metrics is not None:
            complete.append(run.id)
            measured.setdefault(run.system, []).extend(metrics)
        values = _outcomes(run, rows) | {"schedulers": schedulers}
        if any(getattr(run, name) != value for name, value in values.items()):
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    write_days(connection, sums)
    run_of_point = points.c.record.op(">>", return_type=BigInteger())(literal_column(str(RECORD_BITS)))
    connection.execute(delete(points).where(among(connection, run_of_point, complete)))
    for system in connection.execute(select(systems.c.id).order_by(systems.c.id)).scalars().all():
        wanted = set(connection.execute(select(cells.c.id).where(cells.c.system == system)).scalars())
        streaks: dict[int, Streak] = recompute_streaks(connection, system, wanted)
        latest = details(connection, streaks)
        updates = [(*streak, *latest.get(cell, NO_DETAILS), cell) for cell, streak in sorted(streaks.items())]
        update_many(connection, cells, (*STREAK, *DETAILS), updates)
        note_full_runs(connection, system)
        note_cadence(connection, system)
        note_owner(connection, system)
        refresh_board(connection, system)
        add_points(connection, system, measured.get(system, []))
        recompute_series(connection, system)


def verify(connection: Connection) -> VerificationReport:
    """Recompute the roll-ups and compare them with the stored ones; check every body against its digest.

    The transaction then contains the recomputed roll-ups. Commit it to repair the database, or roll it back.
    """
    report = VerificationReport()
    _check_keys(connection, report)
    before = _snapshot(connection)
    recompute_rollups(connection, report)
    after = _snapshot(connection)
    for table, rows in after.items():
        for key in sorted(rows.keys() | before[table].keys()):
            stored, computed = before[table].get(key), rows.get(key)
            if stored != computed:
                report.add(f"{table} {'/'.join(map(str, key))}: is {stored}, but the facts give {computed}")
    return report


def _check_keys(connection: Connection, report: VerificationReport) -> None:
    """Find rows that refer to a missing row; these columns have no foreign key in the database."""
    for column, other in (
        (records.c.run, runs.c.id),
        (records.c.cell, cells.c.id),
        (bodies.c.record, records.c.id),
        (points.c.record, records.c.id),
        (points.c.series, series.c.id),
    ):
        dangling = select(column).where(~select(other).where(other == column).exists()).limit(MAX_PROBLEMS)
        for key in connection.execute(dangling).scalars():
            report.add(f"{column.table.name}: {column.name} {key} is not in {other.table.name}")


def _read_bodies(
    connection: Connection, run: Row[Any], rows: list[Row[Any]], report: VerificationReport
) -> tuple[str | None, list[RecordMetrics] | None]:
    """Check the bodies of a run; return its schedulers and its metrics, or None for the metrics if a body is missing.

    Retention may have removed output tails, so that the digest no longer matches, or whole bodies. In that case the
    stored schedulers are kept.
    """
    report.runs += 1
    report.records += len(rows)
    if run.records != len(rows):
        report.add(f"run {run.run_id}: the stored number of records is {run.records}, but there are {len(rows)}")
    within = bodies.c.record.between(run.id << RECORD_BITS, ((run.id + 1) << RECORD_BITS) - 1)
    by_key = {row.id: row for row in rows}
    schedulers: dict[str, str] = {}
    measured: list[RecordMetrics] = []
    kept = []
    for key, body in connection.execute(select(bodies.c.record, bodies.c.body).where(within)):
        kept.append(key)
        row = by_key.get(key)
        if run.pruned is None and (row is None or bytes(row.digest) != hashlib.sha256(body).digest()):
            report.add(f"run {run.run_id}: the body of record {key} does not match the digest that was acknowledged")
        try:
            decoded = _body.decode(body)
        except msgspec.MsgspecError:
            continue
        name_schedulers(schedulers, decoded.scheduler)
        if decoded.metrics and row is not None and row.outcome == PASS:
            when = row.started or row.ended or row.received
            measured.append(RecordMetrics(key, row.cell, when, decoded.metrics))
    report.bodies += len(kept)
    if run.pruned is None and len(kept) != len(rows):
        report.add(f"run {run.run_id}: {len(rows) - len(kept)} records have no body")
    if len(kept) != len(rows):
        return run.schedulers, None
    return pack_schedulers(schedulers), measured


def _runs(connection: Connection) -> Iterator[Any]:
    """Yield every run with its plan, in pages, so that the caller may change the runs while it iterates."""
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
    """Return the roll-up columns of a run: planned cells first, the others in the order in which they arrived."""
    layout = list(parse_cells(run.plan)) if run.plan else []
    latest: dict[int, tuple[int, str]] = dict.fromkeys(layout, (0, MISSING))
    for row in rows:
        if row.attempt > latest.get(row.cell, (0, ""))[0]:
            latest[row.cell] = (row.attempt, row.outcome)
    extra = list(latest)[len(layout) :]
    packed = json.dumps(extra, separators=(",", ":"))
    return {"extra": packed, "outcomes": "".join(char for _, char in latest.values()), "records": len(rows)}


def _snapshot(connection: Connection) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    tables = {}
    for name, (_, key, columns) in SNAPSHOTS.items():
        rows = connection.execute(select(*key, *columns))
        tables[name] = {tuple(row[: len(key)]): tuple(row[len(key) :]) for row in rows}
    return tables
