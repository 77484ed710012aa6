"""Making the roll-ups anew from the facts, to repair them or to prove that they are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from collector.bulk import update_many
from collector.days import Sums, sum_days, write_days
from collector.outcomes import MISSING
from collector.rollup import DETAILS, STREAK, details, note_full_runs, parse_cells, refresh_board, retell
from collector.streaks import Streak
from collector.tables import RECORD_BITS, board, bodies, cells, days, plans, records, runs, systems

_PAGE = 2000
SHOWN = 20

SNAPSHOTS = {
    "cells": (cells, (cells.c.id,), (*STREAK, *DETAILS)),
    "board": (board, (board.c.system, board.c.subject), tuple(board.c)[2:]),
    "days": (days, (days.c.system, days.c.day), tuple(days.c)[2:]),
    "runs": (runs, (runs.c.id,), (runs.c.extra, runs.c.outcomes, runs.c.records)),
    "systems": (systems, (systems.c.id,), (systems.c.full_smoke, systems.c.full_integration, systems.c.full_scale)),
}


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


def rebuild(connection: Connection) -> None:
    """Write every roll-up anew."""
    connection.execute(delete(days))
    of_run: dict[int, int] = {}
    sums: Sums = {}
    for run in _runs(connection):
        of_run[run.id] = run.system
        rows = _records(connection, run.id)
        sum_days(of_run, rows, sums)
        values = _outcomes(run, rows)
        if (run.extra, run.outcomes, run.records) != tuple(values.values()):
            connection.execute(update(runs).where(runs.c.id == run.id).values(**values))
    write_days(connection, sums)
    for system in connection.execute(select(systems.c.id).order_by(systems.c.id)).scalars().all():
        wanted = set(connection.execute(select(cells.c.id).where(cells.c.system == system)).scalars())
        told: dict[int, Streak] = retell(connection, system, wanted)
        found = details(connection, told)
        changed = [(*streak, *found.get(cell, (None, None, None)), cell) for cell, streak in sorted(told.items())]
        update_many(connection, cells, (*STREAK, *DETAILS), changed)
        note_full_runs(connection, system)
        refresh_board(connection, system, None)


def verify(connection: Connection) -> Findings:
    """Rebuild the roll-ups and compare them with what was there; check every body against its digest.

    The transaction then holds what was rebuilt: commit it to repair, or undo it.
    """
    findings = Findings()
    _check_bodies(connection, findings)
    before = _snapshot(connection)
    rebuild(connection)
    after = _snapshot(connection)
    for table, rows in after.items():
        for key in sorted(rows.keys() | before[table].keys()):
            was, ought = before[table].get(key), rows.get(key)
            if was != ought:
                findings.add(f"{table} {'/'.join(map(str, key))}: is {was}, but the facts make it {ought}")
    return findings


def _check_bodies(connection: Connection, findings: Findings) -> None:
    """Compare the sha256 of each body that retention has not touched, and count what has none."""
    for run in _runs(connection):
        findings.runs += 1
        rows = _records(connection, run.id)
        findings.records += len(rows)
        if run.records != len(rows):
            findings.add(f"run {run.run_id}: says {run.records} records, has {len(rows)}")
        kept = 0
        within = bodies.c.record.between(run.id << RECORD_BITS, ((run.id + 1) << RECORD_BITS) - 1)
        digests = {row.id: bytes(row.digest) for row in rows}
        for key, body in connection.execute(select(bodies.c.record, bodies.c.body).where(within)):
            kept += 1
            if run.pruned is None and digests.get(key) != hashlib.sha256(body).digest():
                findings.add(f"run {run.run_id}: the body of record {key} is not the one that was acknowledged")
        findings.bodies += kept
        if run.pruned is None and kept != len(rows):
            findings.add(f"run {run.run_id}: {len(rows) - kept} records have lost their body")


def _runs(connection: Connection) -> Iterator[Any]:
    """Yield every run with its plan, some at a time, so that they may be changed meanwhile."""
    names = ("id", "run_id", "system", "extra", "outcomes", "records", "pruned")
    query = select(*(runs.c[name] for name in names), plans.c.cells.label("plan"))
    query = query.outerjoin(plans, plans.c.id == runs.c.plan).order_by(runs.c.id).limit(_PAGE)
    last = -1
    while rows := connection.execute(query.where(runs.c.id > last)).all():
        yield from rows
        last = rows[-1].id


def _records(connection: Connection, run: int) -> list[Row[Any]]:
    within = records.c.id.between(run << RECORD_BITS, ((run + 1) << RECORD_BITS) - 1)
    return list(connection.execute(select(records).where(within).order_by(records.c.id)))


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
