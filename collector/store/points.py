"""Figures that records measured: put aside as points of series, and what each series comes to.

A figure counts where its record passed. As with every roll-up, the order in which records came makes no difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from collector.store.bulk import among, insert_many, update_many
from collector.store.tables import cells, points, series, systems
from collector.store.trends import DIRECTIONS, KEPT, WORSE, judge
from dashboard_client.schema import Metric

MOST = 64
"""So many figures of a record are followed."""

RETIRED_MS = 60 * 86_400_000
"""A series without a value in the sixty days before its system's newest one is not counted."""

ROLLED_UP = tuple(series.c)[5:]

Name = tuple[int, str, str, str]
"""Of a series: cell, name, unit, and which way is better."""


Point = tuple[int, int, float]
"""Of a series: when, which record, and the value; they are ordered so."""


class Measured(NamedTuple):
    """What one record measured."""

    record: int
    cell: int
    started: int
    metrics: Sequence[Metric]

    def values(self) -> Mapping[Name, float]:
        """Return the figures that can be followed; the first of a name counts."""
        found: dict[Name, float] = {}
        for metric in self.metrics[:MOST]:
            name = (self.cell, _line(metric.name, 128), _line(metric.unit, 32), metric.better)
            if metric.better in DIRECTIONS and math.isfinite(metric.value):
                found.setdefault(name, float(metric.value))
        return found


def add_points(connection: Connection, system: int, measured: Iterable[Measured]) -> None:
    """Add what new records of a system measured."""
    values = [(each, each.values()) for each in measured]
    names = sorted({name for _, found in values for name in found})
    if not names:
        return
    keys = _series_keys(connection, names)
    new: dict[int, list[Point]] = {}
    for each, found in values:
        for name, value in found.items():
            new.setdefault(keys[name], []).append((each.started, each.record, value))
    rows = [(key, record, started, value) for key, some in new.items() for started, record, value in some]
    insert_many(connection, points, rows)
    query = select(series.c.id, series.c.better, series.c.count, series.c.kept)
    told = []
    for key, better, count, packed in connection.execute(query.where(among(connection, series.c.id, sorted(new)))):
        kept: list[Point] = [tuple(point) for point in json.loads(packed)]
        newest = sorted([*kept, *new[key]])[-KEPT:]  # all newer ones are among them, whichever came first
        told.append((*_rolled_up(newest, better, count + len(new[key])), key))
    update_many(connection, series, ROLLED_UP, told)
    _count(connection, system)


def follow(connection: Connection, system: int) -> None:
    """Work out anew, from all points, what the series of a system come to."""
    query = select(series.c.id, series.c.better).join(cells, cells.c.id == series.c.cell)
    told = []
    for key, better in connection.execute(query.where(cells.c.system == system)).all():
        of_series = select(points.c.started, points.c.record, points.c.value).where(points.c.series == key)
        found: list[Point] = sorted(tuple(row) for row in connection.execute(of_series))
        told.append((*_rolled_up(found[-KEPT:], better, len(found)), key))
    update_many(connection, series, ROLLED_UP, told)
    _count(connection, system)


def _rolled_up(newest: Sequence[Point], better: str, count: int) -> tuple[Any, ...]:
    """Return the rolled-up columns of a series, in their order."""
    packed = json.dumps(newest, separators=(",", ":"))
    trend = judge([value for _, _, value in newest], better)
    if trend is None:
        return (count, packed, *(None,) * 9)
    started, record, value = newest[-1]
    since = newest[trend.place] if trend.place is not None else (None, None)
    changed = (trend.change, since[1], since[0])
    return (count, packed, record, started, value, trend.level, trend.spread, trend.recent, *changed)


def _count(connection: Connection, system: int) -> None:
    """Count the series of a system and those that are worse than they were."""
    of_system = select(series.c.last_started, series.c.change).join(cells, cells.c.id == series.c.cell)
    found = connection.execute(of_system.where(cells.c.system == system, series.c.count > 0)).all()
    newest = max((started for started, _ in found if started is not None), default=0)
    current = [change for started, change in found if started is not None and started >= newest - RETIRED_MS]
    values = {"trended": len(current), "worse": current.count(WORSE)}
    connection.execute(update(systems).where(systems.c.id == system).values(**values))


def _series_keys(connection: Connection, names: Sequence[Name]) -> dict[Name, int]:
    """Return the key of each series, making those that are new."""
    columns = (series.c.cell, series.c.name, series.c.unit, series.c.better)

    def known() -> dict[Name, int]:
        query = select(*columns, series.c.id).where(among(connection, series.c.cell, {name[0] for name in names}))
        return {(cell, name, unit, better): key for cell, name, unit, better, key in connection.execute(query)}

    found = known()
    fresh = [name for name in names if name not in found]
    if not fresh:
        return found
    fields = [column.name for column in columns]
    connection.execute(
        insert(series), [{**dict(zip(fields, name, strict=True)), "count": 0, "kept": "[]"} for name in fresh]
    )
    return known()


def _line(text: str, longest: int) -> str:
    return text.replace("\0", "\ufffd")[:longest]
