"""Triage: every open failure, grouped by its probable cause, with owners and waivers."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from collector import formatting
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES
from collector.rendering.base import Facts, Page, Question
from collector.status.waivers import (
    SystemWaiver,
    administrator_waivers,
    covering_waiver,
    describe,
    manifest_facts,
    site_file_waivers,
)
from collector.store.tables import cells, records, runs, systems
from dashboard_client.schema import record_id

OPEN = ("f", "e", "i", MISSING, "X")
KNOWN = "x"
SECTIONS = ("open", "missing", "waived", "known")

_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,}\b|\d+", re.IGNORECASE)


def answer(question: Question) -> Facts:
    connection, now = question.connection, question.now
    failing = open_cells(question)
    manifests = manifest_facts(connection, question.visibility)
    waived = [*administrator_waivers(connection, question.visibility, now), *site_file_waivers(manifests)]
    grouped: dict[tuple[Any, ...], Facts] = {}
    for row in failing:
        waiver = covering_waiver(waived, row.site, row.name, row.case_id, now)
        manifest = manifests.get((row.site, row.name))
        section = _section(row, waiver, now)
        key: tuple[Any, ...] = (section, row.cause_key)
        if row.cause_key is None:  # a record of schema 1, or none
            evidence = _VARYING.sub("#", row.evidence or "")[:120]
            key = (section, row.last_outcome, row.cause, row.phase, row.rule, evidence)
        group = grouped.setdefault(key, _group(section, row))
        group["cases"].append(_case(row, manifest.owner if manifest else None, waiver, now))
    groups = sorted(grouped.values(), key=_weight)
    for group in groups:
        group["systems"] = sorted({f"{case['site']} / {case['system']}" for case in group["cases"]})
        group["owners"] = sorted({case["owner"] for case in group["cases"] if case["owner"]})
        group["since"] = min(case["since"] for case in group["cases"])
    return {
        "counts": {name: sum(len(g["cases"]) for g in groups if g["section"] == name) for name in SECTIONS},
        "groups": groups,
    }


def open_cells(question: Question) -> list[Any]:
    """Return every current cell whose latest outcome needs attention.

    A cell that the newest full run of its tier no longer plans is not current.
    """
    columns = (cells.c.id, cells.c.case_id, cells.c.subject, cells.c.tier, cells.c.last_outcome, cells.c.last_started)
    query = (
        select(*columns, cells.c.since_started, cells.c.fail_started, cells.c.last_record, cells.c.last_emulated)
        .add_columns(systems.c.site, systems.c.system.label("name"), runs.c.run_id, records.c.attempt, records.c.cause)
        .add_columns(records.c.phase, records.c.rule, records.c.evidence, records.c.cause_key, records.c.title)
        .add_columns(systems.c.full_smoke, systems.c.full_integration, systems.c.full_scale)
        .join(systems, systems.c.id == cells.c.system)
        .join(runs, runs.c.id == cells.c.last_run)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .where(cells.c.last_outcome.in_((*OPEN, KNOWN)))
        .order_by(systems.c.site, systems.c.system, cells.c.case_id)
    )
    rows = question.connection.execute(question.visibility.of(query))
    return [row for row in rows if row.last_started >= (getattr(row, f"full_{row.tier}", None) or 0)]


def since_of(row: Any) -> int:
    """Return when a failure began: the first failure after the last pass, else the first of these equal outcomes."""
    start: int = row.fail_started if row.fail_started is not None and row.last_outcome in "fe" else row.since_started
    return start


def draw(question: Question, facts: Facts) -> Facts:
    titles = {
        "open": "Open failures",
        "missing": "Missing: planned, never reported",
        "waived": "Waived by an administrator",
        "known": "Known failures of site files",
    }
    sections = [(name, titles[name], [g for g in facts["groups"] if g["section"] == name]) for name in SECTIONS]
    return {"sections": [section for section in sections if section[2]]}


def _section(row: Any, waiver: SystemWaiver | None, now: int) -> str:
    if row.last_outcome == KNOWN:
        return "known"
    if waiver is not None and waiver.source == "administrator" and waiver.valid(now):
        return "waived"
    return "missing" if row.last_outcome == MISSING else "open"


def _group(section: str, row: Any) -> Facts:
    return {
        "section": section,
        "outcome": OUTCOME_NAMES[row.last_outcome],
        "cause": row.cause,
        "phase": row.phase,
        "rule": row.rule,
        "cause_key": row.cause_key,
        "title": row.title,
        "evidence": row.evidence,
        "cases": [],
    }


def _case(row: Any, owner: str | None, waiver: SystemWaiver | None, now: int) -> Facts:
    named = row.last_record is not None and row.attempt is not None
    return {
        "case_id": row.case_id,
        "cell": row.id,
        "site": row.site,
        "system": row.name,
        "since": formatting.at(since_of(row)),
        "latest": formatting.at(row.last_started),
        "run_id": row.run_id,
        "record_id": record_id(row.site, row.name, row.run_id, row.case_id, row.attempt) if named else None,
        "emulated": bool(row.last_emulated),
        "owner": (waiver.owner if waiver else None) or owner,
        "waiver": describe(waiver, now) if waiver else None,
    }


def _weight(group: Facts) -> tuple[int, int, int]:
    systems_ = {(case["site"], case["system"]) for case in group["cases"]}
    rank = next(position for position, char in enumerate(ORDER) if OUTCOME_NAMES[char] == group["outcome"])
    return (-len(systems_), -len(group["cases"]), rank)


PAGE = Page("/triage", "triage.html", answer, draw, section="triage")
