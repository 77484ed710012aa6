"""The figures that cases measure, as the pages and the digest show them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, case, select

from collector import formatting
from collector.auth.visibility import Visibility
from collector.store.tables import cells, series, systems
from collector.store.trends import WORSE

DAY_MS = 86_400_000
FRESH_DAYS = 30


def series_query() -> Select[Any]:
    """Select series with their case and system: those that got worse first, then those that got better."""
    rank = case((series.c.change == WORSE, 0), (series.c.change.is_not(None), 1), else_=2)
    return (
        select(series, cells.c.case_id, systems.c.site, systems.c.system, systems.c.owner)
        .join(cells, cells.c.id == series.c.cell)
        .join(systems, systems.c.id == cells.c.system)
        .where(series.c.count > 0)
        .order_by(rank, systems.c.site, systems.c.system, cells.c.case_id, series.c.name, series.c.unit)
    )


def worse_series(connection: Connection, visibility: Visibility, now: int) -> list[Row[Any]]:
    """Return the series that got worse and that were measured within the last ``FRESH_DAYS`` days."""
    fresh = (series.c.change == WORSE, series.c.last_started > now - FRESH_DAYS * DAY_MS)
    return list(connection.execute(visibility.of(series_query().where(*fresh))))


def series_facts(row: Row[Any]) -> dict[str, Any]:
    """Return a series as facts."""
    return {
        "case_id": row.case_id,
        "cell": row.cell,
        "name": row.name,
        "unit": row.unit,
        "better": row.better,
        "count": row.count,
        "last": row.last_value,
        "at": formatting.at_or_none(row.last_started),
        "usual": row.level,
        "scatter": row.spread,
        "recent": row.recent,
        "change": row.change,
        "since": formatting.at_or_none(row.change_started),
    }
