"""The daily digest: silent systems, new and older failures, missing cases, and figures that got worse."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from collector import formatting
from collector.auth.visibility import Visibility
from collector.clock import iso
from collector.outcomes import MISSING, OUTCOME_NAMES
from collector.rendering.plots import figure
from collector.status.failures import attention_rows
from collector.status.figures import worse_series
from collector.status.filters import Filters
from collector.status.waivers import administrator_waivers, covering_waiver, manifest_facts, site_file_waivers
from collector.store.tables import systems
from collector.store.trends import WORSE

DAY_MS = 86_400_000
OLD_DAYS = 2
MOST = 500
"""The number of entries of each list; the counts are those of all."""

LISTS = (
    ("newly_failed", "Newly failed within the last 24 hours"),
    ("failing", f"Failing for 1 to {OLD_DAYS} days"),
    ("failing_for_days", f"Failing for {OLD_DAYS} days or more"),
    ("missing", "Missing: planned, never reported"),
)


def digest(connection: Connection, visibility: Visibility, now: int) -> dict[str, Any]:
    """Return the digest as facts; cases with a valid waiver are left out."""
    manifests = manifest_facts(connection, visibility)
    waived = [*administrator_waivers(connection, visibility, now), *site_file_waivers(manifests)]
    lists: dict[str, list[dict[str, Any]]] = {name: [] for name, _ in LISTS}
    rows = attention_rows(connection, visibility, Filters({}, now))
    for row in sorted(rows, key=lambda row: (row.site, row.name, row.case_id)):
        waiver = covering_waiver(waived, row.site, row.name, row.case_id, now)
        if row.last_outcome in "xX" or (waiver is not None and waiver.valid(now)):
            continue
        began = row.since
        entry = {
            "site": row.site,
            "system": row.name,
            "case_id": row.case_id,
            "outcome": OUTCOME_NAMES[row.last_outcome],
            "since": iso(began),
            "cause": row.cause,
            "evidence": row.evidence,
            "owner": row.owner,
        }
        if row.last_outcome == MISSING:
            lists["missing"].append(entry)
        elif now - began < DAY_MS:
            lists["newly_failed"].append(entry)
        else:
            lists["failing_for_days" if now - began >= OLD_DAYS * DAY_MS else "failing"].append(entry)
    lists["silent"] = silent_systems(connection, visibility, now)
    lists[WORSE] = [_figure(row) for row in worse_series(connection, visibility, now)]
    counts = {name: len(entries) for name, entries in lists.items()}
    return {"event": "digest", "at": iso(now), "counts": counts, **{name: some[:MOST] for name, some in lists.items()}}


def silent_systems(connection: Connection, visibility: Visibility, now: int) -> list[dict[str, Any]]:
    """Return the systems of which no run started within their cadence."""
    query = select(systems).where(systems.c.silent_from <= now).order_by(systems.c.site, systems.c.system)
    return [
        {
            "site": row.site,
            "system": row.system,
            "since": iso(row.silent_from),
            "contact": None if row.contact is None else iso(row.contact),
        }
        for row in connection.execute(visibility.of(query))
    ]


def _figure(row: Any) -> dict[str, Any]:
    subject = {"site": row.site, "system": row.system, "case_id": row.case_id, "name": row.name, "unit": row.unit}
    return subject | {"usual": row.level, "now": row.recent, "better": row.better, "since": iso(row.change_started)}


def as_text(facts: dict[str, Any]) -> str:
    """Write a digest as plain text, for mail and the terminal."""
    counts = counts_of(facts)
    lines = [f"ExaWorks status at {facts['at']}", ""]
    lines.append(f"Silent, no run within their cadence: {formatting.counted(counts['silent'], 'system')}")
    for entry in facts["silent"]:
        contact = f", last contact {entry['contact']}" if entry["contact"] else ""
        lines.append(f"  {entry['site']}/{entry['system']}  silent since {entry['since']}{contact}")
    lines += [*_more(facts, "silent"), ""]
    for name, title in LISTS:
        lines.append(f"{title}: {formatting.counted(counts[name], 'case')}")
        for entry in facts[name]:
            lines.append(
                f"  {entry['site']}/{entry['system']}  {entry['case_id']}  {entry['outcome']} since {entry['since']}"
            )
            if entry["evidence"]:
                lines.append(f"      {entry['cause']}: {_printable(entry['evidence'])}")
        lines += [*_more(facts, name), ""]
    lines.append(f"Figures worse than usual: {formatting.counted(counts[WORSE], 'figure')}")
    for entry in facts[WORSE]:
        change = f"{figure(entry['usual'])} -> {figure(entry['now'])} {entry['unit']} since {entry['since']}"
        lines.append(f"  {entry['site']}/{entry['system']}  {entry['case_id']}  {_printable(entry['name'])} {change}")
    lines += [*_more(facts, WORSE), ""]
    return "\n".join(lines)


def counts_of(facts: dict[str, Any]) -> dict[str, int]:
    """Return the number of entries of each list; a digest that an older collector queued states none."""
    counts: dict[str, int] = facts.get("counts") or {
        name: len(facts[name]) for name in ("silent", *(name for name, _ in LISTS), WORSE)
    }
    return counts


def _more(facts: dict[str, Any], name: str) -> list[str]:
    """Return a line with the number of entries that are left out, if there are any."""
    more = counts_of(facts)[name] - len(facts[name])
    return [f"  and {more:,} more: see the dashboard"] if more else []


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
