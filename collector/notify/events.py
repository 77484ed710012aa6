"""Events beside failures: a figure that got worse, and a waiver of an administrator that is about to end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from collector.auth.visibility import EVERYTHING
from collector.clock import iso
from collector.formatting import ms
from collector.notify.hooks import CHANGE, queue
from collector.notify.options import read_options
from collector.status.figures import worse_series
from collector.status.waivers import administrator_waivers, describe
from collector.store.tables import hooks

SOON_DAYS = 7
DAY_MS = 86_400_000


def queue_regressions(connection: Connection, now: int) -> int:
    """Queue a message for each figure that got worse since a hook exists; return how many."""
    subscribed = _subscribed(connection, "regression")
    if not subscribed:
        return 0
    queued = 0
    for row in worse_series(connection, EVERYTHING, now):
        place = {"site": row.site, "system": row.system, "case_id": row.case_id, "name": row.name, "unit": row.unit}
        body = {"event": "regression", "at": iso(now), **place, "usual": row.level, "now": row.recent}
        body |= {"better": row.better, "since": iso(row.change_started)}
        for hook in subscribed:
            wanted = read_options(hook.options).wants(row.case_id.partition("/")[0], row.owner, None)
            if hook.site in (None, row.site) and wanted and row.change_started >= hook.made - DAY_MS:
                queued += queue(connection, hook, f"regression:{row.id}:{row.change_record}", body, now)
    return queued


def queue_waivers(connection: Connection, now: int) -> int:
    """Queue a message for each waiver of an administrator that ends within the next days; return how many."""
    subscribed = _subscribed(connection, "waiver")
    if not subscribed:
        return 0
    queued = 0
    for waiver in administrator_waivers(connection, EVERYTHING, now):
        if not 0 < ms(waiver.expires) - now <= SOON_DAYS * DAY_MS:
            continue
        facts: dict[str, Any] = describe(waiver, now)
        facts["last_day"] = facts["last_day"].isoformat()
        del facts["expires"]
        body = {
            "event": "waiver",
            "at": iso(now),
            **{name: value for name, value in facts.items() if name != "expires"},
        }
        for hook in subscribed:
            options = read_options(hook.options)
            if hook.site in (None, waiver.site) and options.owns(waiver.owner):
                queued += queue(connection, hook, f"waiver:{waiver.id}", body, now)
    return queued


def _subscribed(connection: Connection, event: str) -> list[Row[Any]]:
    rows = connection.execute(select(hooks).where(hooks.c.kind == CHANGE))
    return [row for row in rows if event in read_options(row.options).events]
