"""The cells that need attention, with what their latest records state; the pages and the digest list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from collector.auth.visibility import Visibility
from collector.outcomes import MISSING, PASS
from collector.status.filters import Filters
from collector.store.tables import attention, cells, records, runs, systems

OPEN = ("f", "e", "i", MISSING, "X")
KNOWN = "x"


def attention_rows(
    connection: Connection,
    visibility: Visibility,
    filters: Filters,
    outcomes: Sequence[str] = (*OPEN, KNOWN),
    since: int | None = None,
    cause: str | None = None,
    limit: int | None = None,
) -> list[Any]:
    """Return the current cells with one of the outcomes, the latest change first.

    ``since``: only what changed since then. ``cause``: only failures with this cause key.
    """
    table = attention.c
    query = (
        select(
            table.cell.label("id"), cells.c.case_id, table.subject, table.component, table.outcome.label("last_outcome")
        )
        .add_columns(table.since, table.emulated.label("last_emulated"), table.flaky, table.cause, table.version)
        .add_columns(table.cause_key.label("key"), cells.c.last_started, cells.c.last_record, cells.c.scheduler)
        .add_columns(systems.c.site, systems.c.system.label("name"), systems.c.owner, runs.c.run_id)
        .add_columns(records.c.attempt, records.c.phase, records.c.rule, records.c.evidence)
        .add_columns(records.c.cause_key, records.c.title)
        .join(systems, systems.c.id == table.system)
        .join(cells, cells.c.id == table.cell)
        .join(runs, runs.c.id == table.run)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .where(table.outcome.in_(outcomes), *filters.attention())
        .order_by(table.since.desc(), systems.c.site, systems.c.system, cells.c.case_id)
        .limit(limit)
    )
    if since is not None:
        query = query.where(table.since >= since)
    if cause is not None:
        query = query.where(table.cause_key == cause, table.outcome != PASS)
    return list(connection.execute(visibility.of(query)))
