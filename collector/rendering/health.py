"""The health of a system now, from its rows of the board: its worst outcome, and whether it is stale or emulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from collector import formatting
from collector.auth.visibility import Visibility
from collector.outcomes import MISSING, ORDER
from collector.rendering import markup
from collector.rendering.base import Facts
from collector.rendering.paging import Paging
from collector.store.silence import is_silent
from collector.store.staleness import is_stale
from collector.store.tables import board, runs, systems

COLUMNS = (
    systems.c.id,
    systems.c.site,
    systems.c.system,
    systems.c.contact,
    systems.c.skew,
    systems.c.silent_from,
    systems.c.trended,
    systems.c.worse,
    board.c.subject,
    board.c.outcomes,
    board.c.started,
    board.c.emulated,
    board.c.version,
    runs.c.stale_after,
)


def health_query() -> Select[Any]:
    """Select the present state of each subject of each system; a system without subjects has one row without one."""
    query = select(*COLUMNS).outerjoin(board, board.c.system == systems.c.id).outerjoin(runs, runs.c.id == board.c.run)
    return query.order_by(systems.c.site, systems.c.system, board.c.subject)


def health_page(
    connection: Connection, visibility: Visibility, paging: Paging, conditions: Sequence[ColumnElement[bool]]
) -> tuple[list[Row[Any]], int]:
    """Return these rows for the systems of a page, by name of site and system, and the number of all systems."""
    chosen = visibility.of(select(systems.c.id).where(*conditions))
    number = select(func.count()).select_from(chosen.subquery()).scalar_subquery().label("number")
    on_page = chosen.order_by(systems.c.site, systems.c.system).offset(paging.first).limit(paging.size)
    query = health_query().add_columns(number).where(systems.c.id.in_(select(on_page.subquery().c.id)))
    rows = list(connection.execute(query))
    return rows, rows[0].number if rows else 0


def health(rows: list[Any], now: int) -> Facts:
    """Summarize the rows of one system; without any result its outcome is ``pending``."""
    reported = [row for row in rows if row.outcomes]
    outcomes = "".join(sorted("".join(row.outcomes for row in reported), key=ORDER.index))
    emulated = sum(row.emulated for row in reported)
    latest = max((row.started for row in reported), default=None)
    return {
        "outcome": markup.overall_outcome(outcomes),
        "counts": markup.counts_of(outcomes),
        "missing": outcomes.count(MISSING),
        "stale": any(is_stale(row.started, row.stale_after, now) for row in reported),
        "silent": bool(rows) and is_silent(rows[0].silent_from, now),
        "clock": formatting.clock_off(rows[0].skew if rows else None),
        "emulated": emulated,
        "only_emulated": markup.only_emulated(outcomes, emulated),
        "latest": formatting.at_or_none(latest),
    }
