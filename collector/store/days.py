"""Sums for each system and day, which the plots of a site show. Each record is added once, when it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects import postgresql, sqlite

from collector.outcomes import OUTCOME_NAMES
from collector.store.tables import days, records

DAY_MS = 86_400_000

SUMS = tuple(column.name for column in days.c if column.name not in ("system", "day"))

_POSITION = {column.name: position for position, column in enumerate(records.c)}
_RUN, _RECEIVED, _OUTCOME, _STARTED, _ENDED, _WAIT, _SECONDS, _NODES = (
    _POSITION[name] for name in ("run", "received", "outcome", "started", "ended", "queue_wait", "seconds", "nodes")
)

MAX_NODE_MS = 10**13
"""The most that one record adds to the node time of a day, some 2.8 million node hours, so that no sum overflows."""

Sums = dict[tuple[int, int], dict[str, int]]


def add_to_days(connection: Connection, systems: Mapping[int, int], rows: Iterable[Sequence[Any]]) -> None:
    """Add new rows of ``records`` to the sums of their days; ``systems`` maps each run to its system."""
    write_days(connection, sum_days(systems, rows))


def sum_days(systems: Mapping[int, int], rows: Iterable[Sequence[Any]], into: Sums | None = None) -> Sums:
    """Return the sums of rows of ``records`` by system and day, added to ``into`` if it is given."""
    sums: Sums = {} if into is None else into
    for row in rows:
        instant = row[_STARTED] or row[_ENDED] or row[_RECEIVED]
        key = (systems[row[_RUN]], instant // DAY_MS)
        day = sums.get(key)
        if day is None:
            day = sums[key] = dict.fromkeys(SUMS, 0)
        day["records"] += 1
        day[OUTCOME_NAMES[row[_OUTCOME]]] += 1
        wait, seconds = row[_WAIT], row[_SECONDS]
        if wait is not None:
            day["waits"] += 1
            day["wait_ms"] += _ms(wait)
        if seconds is not None:
            day["timed"] += 1
            day["run_ms"] += _ms(seconds)
            day["node_ms"] += min(_ms(seconds) * (row[_NODES] or 1), MAX_NODE_MS)
    return sums


def write_days(connection: Connection, sums: Sums) -> None:
    """Add sums to those that are stored."""
    if not sums:
        return
    values = [{"system": system, "day": day, **added} for (system, day), added in sorted(sums.items())]
    connection.execute(_addition(connection.dialect.name), values)


@cache
def _addition(dialect: str) -> Any:
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(days)
    totals = {name: func.coalesce(days.c[name], 0) + statement.excluded[name] for name in SUMS}
    return statement.on_conflict_do_update(index_elements=["system", "day"], set_=totals)


def _ms(seconds: float) -> int:
    """Return whole milliseconds within the range of the column; an impossible value must not make ingest fail."""
    return round(min(max(seconds, 0.0), 1e9) * 1000)
