"""The daily digest: what newly failed, what has failed for two days and more, what is missing, what measures worse."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from collector import formatting
from collector.auth.visibility import Visibility
from collector.clock import iso
from collector.outcomes import MISSING, WORD
from collector.rendering.base import Question
from collector.rendering.plots import figure
from collector.pages.triage import open_cells, since_of
from collector.status.figures import worse
from collector.status.waivers import about_systems, covering, of_site_files, standing
from collector.store.trends import WORSE

DAY_MS = 86_400_000
OLD_DAYS = 2
LISTS = (
    ("newly_failed", "Newly failed, within a day"),
    ("failing", "Failing since yesterday or the day before"),
    ("failing_for_days", f"Failing for {OLD_DAYS} days and more"),
    ("missing", "Missing: planned, never reported"),
)


def digest(connection: Connection, visibility: Visibility, now: int) -> dict[str, Any]:
    """Return the digest as facts; what an administrator has waived is left out."""
    about = about_systems(connection, visibility)
    waived = [*standing(connection, visibility, now), *of_site_files(about)]
    lists: dict[str, list[dict[str, Any]]] = {name: [] for name, _ in LISTS}
    for row in open_cells(Question(connection, visibility, now, {})):
        waiver = covering(waived, row.site, row.name, row.case_id, now)
        if row.last_outcome in "xX" or (waiver is not None and waiver.valid(now)):
            continue
        began = since_of(row)
        told = about.get((row.site, row.name))
        entry = {
            "site": row.site,
            "system": row.name,
            "case_id": row.case_id,
            "outcome": WORD[row.last_outcome],
            "since": iso(began),
            "cause": row.cause,
            "evidence": row.evidence,
            "owner": told.owner if told else None,
        }
        if row.last_outcome == MISSING:
            lists["missing"].append(entry)
        elif now - began < DAY_MS:
            lists["newly_failed"].append(entry)
        else:
            lists["failing_for_days" if now - began >= OLD_DAYS * DAY_MS else "failing"].append(entry)
    return {
        "event": "digest",
        "at": iso(now),
        **lists,
        WORSE: [_figure(row) for row in worse(connection, visibility, now)],
    }


def _figure(row: Any) -> dict[str, Any]:
    named = {"site": row.site, "system": row.system, "case_id": row.case_id, "name": row.name, "unit": row.unit}
    return named | {"usual": row.level, "now": row.recent, "better": row.better, "since": iso(row.change_started)}


def as_text(facts: dict[str, Any]) -> str:
    """Write a digest for a person's mailbox."""
    lines = [f"ExaWorks status at {facts['at']}", ""]
    for name, title in LISTS:
        entries = facts[name]
        lines.append(f"{title}: {formatting.counted(len(entries), 'case')}")
        for entry in entries:
            lines.append(
                f"  {entry['site']}/{entry['system']}  {entry['case_id']}  {entry['outcome']} since {entry['since']}"
            )
            if entry["evidence"]:
                lines.append(f"      {entry['cause']}: {_printable(entry['evidence'])}")
        lines.append("")
    lines.append(f"Measured worse than usual: {formatting.counted(len(facts[WORSE]), 'figure')}")
    for entry in facts[WORSE]:
        moved = f"{figure(entry['usual'])} -> {figure(entry['now'])} {entry['unit']} since {entry['since']}"
        lines.append(f"  {entry['site']}/{entry['system']}  {entry['case_id']}  {_printable(entry['name'])} {moved}")
    lines.append("")
    return "\n".join(lines)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
