"""Events beside failures: a figure that got worse, and a waiver that is about to end."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Connection, Row, select

from collector.auth.visibility import EVERYTHING
from collector.clock import iso
from collector.formatting import ms
from collector.notify.hooks import CHANGE, queue
from collector.notify.options import HookOptions, read_options
from collector.status.figures import worse_series
from collector.status.waivers import (
    SystemWaiver,
    administrator_waivers,
    describe,
    manifest_facts,
    site_file_waivers,
)
from collector.store.tables import hooks, systems

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


def queue_waivers(connection: Connection, now: int, site_files: bool = True) -> int:
    """Queue a message for each waiver that ends within the next days; return how many.

    ``site_files``: also for those of site files, which takes reading the newest manifest of every system.
    """
    subscribed = _subscribed(connection, "waiver")
    if not subscribed:
        return 0
    queued = 0
    waived = administrator_waivers(connection, EVERYTHING, now)
    if site_files:
        waived += site_file_waivers(manifest_facts(connection, EVERYTHING, _current_systems(connection)))
    for waiver in waived:
        if not 0 < ms(waiver.expires) - now <= SOON_DAYS * DAY_MS:
            continue
        facts: dict[str, Any] = describe(waiver, now)
        facts["last_day"] = facts["last_day"].isoformat()
        body = {"event": "waiver", "at": iso(now)} | {name: facts[name] for name in facts if name != "expires"}
        name = f"waiver:{_identity(waiver)}"
        for hook in subscribed:
            if hook.site in (None, waiver.site) and _wants(read_options(hook.options), waiver):
                queued += queue(connection, hook, name, body, now)
    return queued


def _identity(waiver: SystemWaiver) -> str:
    """Return what identifies a waiver; one of a site file that is extended becomes another one."""
    if waiver.id is not None:
        return str(waiver.id)
    parts = (waiver.site, waiver.system, waiver.cases, iso(ms(waiver.expires)))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _wants(options: HookOptions, waiver: SystemWaiver) -> bool:
    """Return whether a waiver is subscribed; one for cases of any component is of interest to every component."""
    component = waiver.cases.partition("/")[0]
    if set(component) & set("*?[") or "/" not in waiver.cases:
        return options.owns(waiver.owner)
    return options.wants(component, waiver.owner, None)


def _current_systems(connection: Connection) -> list[tuple[str, str]]:
    """Return the systems with present results: not those that were retired."""
    query = select(systems.c.site, systems.c.system).where(systems.c.tiles > 0)
    return [(site, system) for site, system in connection.execute(query)]


def _subscribed(connection: Connection, event: str) -> list[Row[Any]]:
    rows = connection.execute(select(hooks).where(hooks.c.kind == CHANGE))
    return [row for row in rows if event in read_options(row.options).events]
