"""The figures that records measured: points of series, and the roll-up of each series.

A figure counts only if its record passed. The roll-ups do not depend on the order in which the records arrived.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Update, bindparam, func, insert, select, update

from collector.limits import MAX_VALUE
from collector.store.bulk import among_parameter, insert_many, packed, update_many
from collector.store.tables import cells, points, series, systems
from collector.store.trends import DIRECTIONS, KEPT, WORSE, judge
from dashboard_client.schema import Metric

MAX_FIGURES = 64
"""The number of figures of one record that are stored; the others are ignored."""

RETIRED_MS = 60 * 86_400_000
"""A series is counted only if it has a value in the sixty days before the newest value of its system."""

IDENTITY = (series.c.cell, series.c.name, series.c.unit, series.c.better)
ROLLED_UP = tuple(series.c)[5:]

Name = tuple[int, str, str, str]
"""What identifies a series: cell, name, unit, and whether lower or higher is better."""


Point = tuple[int, int, float]
"""One point of a series: when, the key of the record, and the value. Points are sorted in this order."""


class RecordMetrics(NamedTuple):
    """The figures that one record measured."""

    record: int
    cell: int
    started: int
    metrics: Sequence[Metric]

    def values(self) -> Mapping[Name, float]:
        """Return the figures that can be compared over time; of several with one name, the first counts."""
        values: dict[Name, float] = {}
        for metric in self.metrics[:MAX_FIGURES]:
            name = (self.cell, _line(metric.name, 128), _line(metric.unit, 32), metric.better)
            if metric.better in DIRECTIONS and abs(metric.value) <= MAX_VALUE:
                values.setdefault(name, float(metric.value))
        return values


def add_points(connection: Connection, system: int, measured: Iterable[RecordMetrics]) -> None:
    """Store the figures of new records of a system, and update the roll-ups of their series."""
    figures = [(each, each.values()) for each in measured]
    names = sorted({name for _, values in figures for name in values})
    if not names:
        return
    stored = _stored_series(connection, names)
    new: dict[Name, list[Point]] = {}
    for each, values in figures:
        for name, value in values.items():
            new.setdefault(name, []).append((each.started, each.record, value))
    rows = [(stored[name].key, record, at, value) for name, some in new.items() for at, record, value in some]
    insert_many(connection, points, rows)
    updates = []
    for name in sorted(new, key=lambda name: stored[name].key):
        key, total, newest_before = stored[name]
        kept: list[Point] = [tuple(point) for point in json.loads(newest_before)]
        newest = sorted([*kept, *new[name]])[-KEPT:]  # the newest points are among these, in any order of arrival
        updates.append((*_rolled_up(newest, name[-1], total + len(new[name])), key))
    update_many(connection, series, ROLLED_UP, updates)
    _count(connection, system)


def recompute_series(connection: Connection, system: int) -> None:
    """Recompute the roll-ups of all series of a system from their points."""
    query = select(series.c.id, series.c.better).join(cells, cells.c.id == series.c.cell)
    updates = []
    for key, better in connection.execute(query.where(cells.c.system == system)).all():
        of_series = select(points.c.started, points.c.record, points.c.value).where(points.c.series == key)
        all_points: list[Point] = sorted(tuple(row) for row in connection.execute(of_series))
        updates.append((*_rolled_up(all_points[-KEPT:], better, len(all_points)), key))
    update_many(connection, series, ROLLED_UP, updates)
    _count(connection, system)


def _rolled_up(newest: Sequence[Point], better: str, count: int) -> tuple[Any, ...]:
    """Return the rolled-up columns of a series, in their order."""
    kept = json.dumps(newest, separators=(",", ":"))
    trend = judge([value for _, _, value in newest], better)
    if trend is None:
        return (count, kept, *(None,) * 9)
    started, record, value = newest[-1]
    since = newest[trend.place] if trend.place is not None else (None, None)
    changed = (trend.change, since[1], since[0])
    return (count, kept, record, started, value, trend.level, trend.spread, trend.recent, *changed)


def _count(connection: Connection, system: int) -> None:
    """Store the number of current series of a system, and of those that got worse."""
    connection.execute(_counting(), {"of_system": system})


@cache
def _counting() -> Update:
    of_system = select(series.c.last_started, series.c.change).join(cells, cells.c.id == series.c.cell)
    valued = of_system.where(cells.c.system == bindparam("of_system"), series.c.last_started.is_not(None)).cte()
    newest = select(func.max(valued.c.last_started)).scalar_subquery()
    current = valued.c.last_started >= newest - RETIRED_MS
    number = select(func.count()).select_from(valued).where(current)
    values = {"trended": number.scalar_subquery(), "worse": number.where(valued.c.change == WORSE).scalar_subquery()}
    return update(systems).where(systems.c.id == bindparam("of_system")).values(**values)


class Stored(NamedTuple):
    """A series as it is stored: its key, the number of its points, and the newest ones, packed."""

    key: int
    total: int
    kept: str


def _stored_series(connection: Connection, names: Sequence[Name]) -> dict[Name, Stored]:
    """Return the series of these names; create those that are new."""
    query, of_cells = _series_query(connection.dialect.name), packed(connection, sorted({name[0] for name in names}))

    def stored() -> dict[Name, Stored]:
        return {tuple(row[:4]): Stored(*row[4:]) for row in connection.execute(query, {"of_cells": of_cells}).all()}

    known = stored()
    new = [name for name in names if name not in known]
    if not new:
        return known
    fields = [column.name for column in IDENTITY]
    connection.execute(
        insert(series), [{**dict(zip(fields, name, strict=True)), "count": 0, "kept": "[]"} for name in new]
    )
    return stored()


@cache
def _series_query(dialect: str) -> Select[Any]:
    query = select(*IDENTITY, series.c.id, series.c.count, series.c.kept)
    return query.where(among_parameter(dialect, series.c.cell, "of_cells"))


def _line(text: str, longest: int) -> str:
    return text.replace("\0", "\ufffd")[:longest]
