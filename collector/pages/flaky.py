"""The cases whose outcome changes although nothing under test changed, the most unreliable first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from collector import formatting
from collector.outcomes import OUTCOME_NAMES
from collector.rendering.base import Facts, Page, Question
from collector.rendering.facets import facets
from collector.status.filters import Filters
from collector.store.streaks import TURNED, flake_score
from collector.store.tables import attention, cells, systems

MOST = 100
STRIP = 20


def answer(question: Question) -> Facts:
    filters = Filters.of(question.query, question.now)
    turns = func.length(cells.c.turns) - func.length(func.replace(cells.c.turns, TURNED, ""))
    query = (
        select(cells.c.id, cells.c.case_id, cells.c.subject, cells.c.history, cells.c.turns, cells.c.last_version)
        .add_columns(cells.c.last_outcome, cells.c.last_started, attention.c.emulated)
        .add_columns(systems.c.site, systems.c.system, systems.c.owner)
        .join(attention, attention.c.cell == cells.c.id)
        .join(systems, systems.c.id == cells.c.system)
        .where(attention.c.flaky.is_(True), *filters.attention())
        .order_by(turns.desc(), systems.c.site, systems.c.system, cells.c.case_id)
        .limit(MOST)
    )
    rows = question.connection.execute(question.visibility.of(query)).all()
    ranked = sorted((_case(row) for row in rows), key=lambda case: -case["flake_score"])
    return {"filters": filters.query(), "cases": ranked, "complete": len(rows) < MOST}


def draw(question: Question, facts: Facts) -> Facts:
    tiles = [{"subject": case["component"], "version": case["version"]} for case in facts["cases"]]
    sites = dict.fromkeys(sorted({case["site"] for case in facts["cases"]}))
    choices = {"tiles": tiles, "runs": [], "sites": sites}
    offered = [] if question.static else facets(question, choices, "flaky")
    return {"facets": offered, "clear": question.link("flaky"), "hidden": 0, "strip": STRIP}


def _case(row: Any) -> Facts:
    return {
        "case_id": row.case_id,
        "cell": row.id,
        "component": row.subject,
        "version": row.last_version,
        "site": row.site,
        "system": row.system,
        "owner": row.owner,
        "outcome": OUTCOME_NAMES[row.last_outcome],
        "latest": formatting.at(row.last_started),
        "emulated": bool(row.emulated),
        "changes": (row.turns or "").count(TURNED),
        "flake_score": flake_score(row.history, row.turns),
        "history": [OUTCOME_NAMES[char] for char in row.history or ""],
    }


PAGE = Page("/flaky", "flaky.html", answer, draw, section="flaky", rows=lambda facts: facts["cases"])
