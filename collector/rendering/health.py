"""The health of a system now, from its rows of the board: its worst outcome, and whether it is stale or emulated."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from collector import formatting
from collector.outcomes import MISSING, ORDER
from collector.rendering import markup
from collector.rendering.base import Facts
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
