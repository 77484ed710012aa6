"""Triage: every failure, grouped by its cause, the newest first, with owners, notes, snoozes and waivers."""

from __future__ import annotations

from typing import Any

from collector import formatting
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES, PASS
from collector.rendering.base import Facts, Page, Question
from collector.rendering.facets import facets
from collector.rendering.forms import Entry, identity_of
from collector.status.failures import KNOWN, OPEN, attention_rows
from collector.status.filters import Filters
from collector.status.reference import read_reference
from collector.status.triage import TriageNote, note_of, triage_notes
from collector.status.waivers import (
    SystemWaiver,
    administrator_waivers,
    covering_waiver,
    describe,
    manifest_facts,
    site_file_waivers,
)
from dashboard_client.schema import record_id

SECTIONS = ("recovered", "open", "missing", "snoozed", "waived", "known")
TITLES = {
    "recovered": "Recovered",
    "open": "Open failures",
    "missing": "Missing: planned, never reported",
    "snoozed": "Snoozed",
    "waived": "Waived by an administrator",
    "known": "Known failures of site files",
}
CHANGES = ("new", "recovered")

MOST_CELLS = 2000
"""The number of cells that are read; with more, the oldest are left out, and the page states it."""

DRAWN_GROUPS = 40
DRAWN_CASES = 20
MANIFESTS = 200
"""Waivers of site files are read if the cells are on at most so many systems."""


def answer(question: Question) -> Facts:
    connection, visibility, now = question.connection, question.visibility, question.now
    filters = Filters.of(question.query, now)
    change = question.query.get("change")
    reference = read_reference(question.query.get("since"), now)
    outcomes = (PASS,) if change == "recovered" else (*OPEN, KNOWN)
    since = reference.ms if change in CHANGES else None
    cause = question.query.get("cause") or None
    rows = attention_rows(connection, visibility, filters, outcomes, since, cause, MOST_CELLS + 1)
    notes = triage_notes(connection, visibility)
    waived = administrator_waivers(connection, visibility, now)
    places = {(row.site, row.name) for row in rows}
    if len(places) <= MANIFESTS:
        waived += site_file_waivers(manifest_facts(connection, visibility, places))
    grouped: dict[tuple[str, str], Facts] = {}
    for row in rows[:MOST_CELLS]:
        waiver = covering_waiver(waived, row.site, row.name, row.case_id, now)
        note = note_of(notes, row.site, row.key)
        section = _section(row, waiver, note, now)
        group = grouped.setdefault((section, row.key or row.component), _group(section, row))
        group["cases"].append(_case(row, waiver, note, now))
        if note is not None and note.facts(now) not in group["notes"]:
            group["notes"].append(note.facts(now))
    groups = list(grouped.values())
    for group in groups:
        group["systems"] = sorted({f"{case['site']} / {case['system']}" for case in group["cases"]})
        group["owners"] = sorted({case["owner"] for case in group["cases"] if case["owner"]})
        group["since"] = min(case["since"] for case in group["cases"])
        group["newest"] = max(case["since"] for case in group["cases"])
    groups.sort(key=_weight)
    return {
        "change": change if change in CHANGES else None,
        "cause": cause,
        "since": {"text": reference.text, "at": formatting.at(reference.ms), "words": reference.words},
        "filters": filters.query(),
        "most": MOST_CELLS,
        "complete": len(rows) <= MOST_CELLS,
        "counts": {
            name: sum(len(g["cases"]) for g in groups if g["section"] == name)
            for name in SECTIONS
            if name not in ("recovered", "snoozed") or any(g["section"] == name for g in groups)
        },
        "groups": groups,
    }


def draw(question: Question, facts: Facts) -> Facts:
    drawn = facts["groups"][:DRAWN_GROUPS] if not question.static else facts["groups"]
    sections = [(name, TITLES[name], [g for g in drawn if g["section"] == name]) for name in SECTIONS]
    kept = {name: value for name, value in question.query.items() if name not in ("token", "change", "since", "cause")}
    tiles = [{"subject": case["component"], "version": case["version"]} for g in drawn for case in g["cases"]]
    sites = {case["site"]: 1 for g in drawn for case in g["cases"]}
    owners = {"by_owner": dict.fromkeys(sorted({owner for g in drawn for owner in g["owners"]}))}
    choices = {"tiles": tiles, "runs": [], "sites": dict(sorted(sites.items())), "failing": owners}
    return {
        "sections": [section for section in sections if section[2]],
        "more": len(facts["groups"]) - len(drawn),
        "facets": [] if question.static else facets(question, choices, "triage"),
        "clear": question.link("triage"),
        "everything": question.link("triage", **kept),
        "hidden": 0,
        "most": len(facts["groups"]) if question.static else DRAWN_CASES,
    }


def _section(row: Any, waiver: SystemWaiver | None, note: TriageNote | None, now: int) -> str:
    if row.last_outcome == PASS:
        return "recovered"
    if row.last_outcome == KNOWN:
        return "known"
    if waiver is not None and waiver.source == "administrator" and waiver.valid(now):
        return "waived"
    if note is not None and note.is_snoozed(now):
        return "snoozed"
    return "missing" if row.last_outcome == MISSING else "open"


def _group(section: str, row: Any) -> Facts:
    recovered = section == "recovered"
    return {
        "section": section,
        "key": row.key,
        "outcome": OUTCOME_NAMES[row.last_outcome],
        "cause": row.cause,
        "phase": row.phase,
        "rule": row.rule,
        "cause_key": row.cause_key,
        "title": row.component if recovered else row.title,
        "evidence": row.evidence,
        "notes": [],
        "cases": [],
    }


def _case(row: Any, waiver: SystemWaiver | None, note: TriageNote | None, now: int) -> Facts:
    named = row.last_record is not None and row.attempt is not None
    return {
        "case_id": row.case_id,
        "cell": row.id,
        "component": row.subject,
        "version": row.version,
        "site": row.site,
        "system": row.name,
        "outcome": OUTCOME_NAMES[row.last_outcome],
        "since": formatting.at(row.since),
        "latest": formatting.at(row.last_started),
        "run_id": row.run_id,
        "record_id": record_id(row.site, row.name, row.run_id, row.case_id, row.attempt) if named else None,
        "emulated": bool(row.last_emulated),
        "owner": (note.owner if note else None) or (waiver.owner if waiver else None) or row.owner,
        "waiver": describe(waiver, now) if waiver else None,
    }


def _weight(group: Facts) -> tuple[Any, ...]:
    """Return the sort key of a group: the newest failure first, then the one on the most systems."""
    rank = next(position for position, char in enumerate(ORDER) if OUTCOME_NAMES[char] == group["outcome"])
    return (-formatting.ms(group["newest"]), -len(group["systems"]), -len(group["cases"]), rank)


def _rows(facts: Facts) -> list[Facts]:
    """Return one row for each case, with what its group states."""
    names = ("section", "key", "cause", "phase", "rule", "title", "evidence")
    return [{**case, **{name: group[name] for name in names}} for group in facts["groups"] for case in group["cases"]]


def _entries(question: Question, facts: Facts) -> list[Entry]:
    """Return an entry for each group, which is new again when a further case fails."""
    entries = []
    for group in facts["groups"]:
        updated = group["newest"]
        what = group["title"] or group["evidence"] or group["outcome"]
        places = f"{len(group['systems'])} systems" if len(group["systems"]) > 1 else group["systems"][0]
        entries.append(
            Entry(
                identity_of("triage", group["section"], group["key"], formatting.iso(updated)),
                f"{group['cause'] or group['outcome']}: {what} ({len(group['cases'])} on {places})",
                updated,
                question.link("triage", cause=group["key"]) if group["key"] else question.link("triage"),
                ", ".join(case["case_id"] for case in group["cases"][:DRAWN_CASES]),
            )
        )
    return entries


PAGE = Page("/triage", "triage.html", answer, draw, section="triage", rows=_rows, entries=_entries)
