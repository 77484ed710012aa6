"""One site, for its staff: queue waits, run times, cost in node-hours, last contact, and waivers of forty systems."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from collector import formatting
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.health import health, health_page
from collector.rendering.paging import Paging, pager
from collector.rendering.plots import Series, plot
from collector.rendering.run_lines import run_line
from collector.status import queries
from collector.status.waivers import (
    ManifestFacts,
    administrator_waivers,
    describe_waivers,
    manifest_facts,
    site_file_waivers,
)
from collector.store.bulk import among
from collector.store.tables import days, systems

DAYS = 90
PER_PAGE = 40
RECENT = 12
DAY_MS = 86_400_000


def answer(question: Question) -> Facts:
    site, now, connection = question.path["site"], question.now, question.connection
    visibility = question.visibility.within(site)
    paging = Paging.of(question, PER_PAGE)
    rows, number = health_page(connection, visibility, paging, [systems.c.site == site])
    if not rows:
        raise not_found("site", site) if paging.first == 0 else not_found("page", f"{paging.number} of {site}")
    by_system_key: dict[int, list[Any]] = {}
    for row in rows:
        by_system_key.setdefault(row.id, []).append(row)
    today = now // DAY_MS
    measured = (
        select(days)
        .where(among(connection, days.c.system, by_system_key), days.c.day > today - DAYS, days.c.day <= today)
        .order_by(days.c.system, days.c.day)
    )
    by_system: dict[int, list[Any]] = {}
    for day in connection.execute(measured):
        by_system.setdefault(day.system, []).append(day)
    manifests = manifest_facts(connection, visibility, {(site, row.system) for row in rows})
    recent = [run_line(row, question.now) for row in queries.latest_runs(connection, visibility, RECENT)]
    waived = [*administrator_waivers(connection, visibility, now), *site_file_waivers(manifests)]
    return {
        "site": site,
        **paging.facts(number),
        "number": number,
        "systems": [
            _system(rows, by_system.get(key, []), manifests.get((site, rows[0].system)), now)
            for key, rows in by_system_key.items()
        ],
        "waivers": describe_waivers(sorted(waived, key=lambda each: each.expires), now),
        "runs": recent,
    }


def draw(question: Question, facts: Facts) -> Facts:
    today = question.now // DAY_MS
    charts = [
        ("Queue wait", "s, mean per day", "queue_wait", False),
        ("Run time", "s, mean per day", "run", False),
        ("Infrastructure failures", "% of the attempts of a day", "infra_percent", False),
        ("Cost", "node-hours per day", "node_hours", True),
    ]
    first = min((each["days"][0]["day"] for each in facts["systems"] if each["days"]), default=today - DAYS)
    plots = [
        plot(title, unit, [_series(each, key) for each in facts["systems"]], first, today, bars)
        for title, unit, key, bars in charts
    ]
    return {"plots": plots, "lines": facts["runs"], "pager": pager(question, facts, "sites", facts["site"])}


def _series(system: Facts, key: str) -> Series:
    return Series(system["system"], [(each["day"], each[key]) for each in system["days"] if each[key] is not None])


def _system(rows: list[Any], measured: list[Any], manifest: ManifestFacts | None, now: int) -> Facts:
    contact = rows[0].contact
    month = [day for day in measured if day.day > now // DAY_MS - 30]
    attempts, infra = sum(day.records for day in month), sum(day.infra for day in month)
    return health(rows, now) | {
        "system": rows[0].system,
        "contact": formatting.at_or_none(contact),
        "figures": rows[0].trended,
        "worse": rows[0].worse,
        "cadence": manifest.cadence if manifest else None,
        "stale_after": manifest.stale_after if manifest else None,
        "owner": manifest.owner if manifest else None,
        "redaction": manifest.redaction if manifest else None,
        "attempts_30_days": attempts,
        "infra_rate_30_days": round(infra / attempts, 4) if attempts else None,
        "node_hours_30_days": round(sum(day.node_ms for day in month) / 3_600_000, 1),
        "days": [
            {
                "day": day.day,
                "date": formatting.at(day.day * DAY_MS).date(),
                "attempts": day.records,
                "queue_wait": round(day.wait_ms / day.waits / 1000, 2) if day.waits else None,
                "run": round(day.run_ms / day.timed / 1000, 2) if day.timed else None,
                "infra_percent": round(100 * day.infra / day.records, 2) if day.records else None,
                "node_hours": round(day.node_ms / 3_600_000, 3),
            }
            for day in measured
        ],
    }


def _rows(facts: Facts) -> list[Facts]:
    """Return one row for each day of each system."""
    return [
        {"site": facts["site"], "system": system["system"], **day}
        for system in facts["systems"]
        for day in system["days"]
    ]


PAGE = Page("/sites/{site}", "site.html", answer, draw, section="sites", rows=_rows)
