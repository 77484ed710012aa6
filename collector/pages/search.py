"""Search: systems, cases, versions, causes and runs whose names contain a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from collector import formatting
from collector.outcomes import PASS
from collector.rendering.base import Facts, Page, Question
from collector.store.tables import attention, cells, records, runs, systems

MOST = 20
LONGEST = 128


def answer(question: Question) -> Facts:
    text = question.query.get("q", "").strip()[:LONGEST]
    found: Facts = {"systems": [], "cases": [], "versions": [], "causes": [], "runs": []}
    if text:
        found = {
            "systems": _systems(question, text),
            "cases": _cases(question, text),
            "versions": _versions(question, text),
            "causes": _causes(question, text),
            "runs": _runs(question, text),
        }
    return {"query": text, "found": sum(map(len, found.values())), **found}


def _systems(question: Question, text: str) -> list[Facts]:
    names = systems.c.site + "/" + systems.c.system
    query = select(systems.c.site, systems.c.system).where(names.icontains(text, autoescape=True))
    return _facts(question, query.order_by(systems.c.site, systems.c.system))


def _cases(question: Question, text: str) -> list[Facts]:
    """Return the cases with the number of systems that have them, and the cell on one of these."""
    columns: Sequence[Any] = (func.count().label("systems"), func.min(cells.c.id).label("cell"))
    matching = (
        select(*columns)
        .join(systems, systems.c.id == cells.c.system)
        .where(cells.c.case_id.icontains(text, autoescape=True))
        .group_by(cells.c.case_id)
        .order_by(cells.c.case_id)
        .limit(MOST)
    )
    some = question.visibility.of(matching).subquery()
    query = (
        select(cells.c.case_id, some.c.systems, some.c.cell, systems.c.site, systems.c.system)
        .join(some, some.c.cell == cells.c.id)
        .join(systems, systems.c.id == cells.c.system)
    )
    return _facts(question, query.order_by(cells.c.case_id))


def _versions(question: Question, text: str) -> list[Facts]:
    query = (
        select(cells.c.component, cells.c.last_version.label("version"), func.count().label("cells"))
        .join(systems, systems.c.id == cells.c.system)
        .where(cells.c.last_version.icontains(text, autoescape=True))
        .group_by(cells.c.component, cells.c.last_version)
        .order_by(cells.c.component, cells.c.last_version)
    )
    return _facts(question, query)


def _causes(question: Question, text: str) -> list[Facts]:
    title = func.coalesce(records.c.title, records.c.evidence)
    matches = [column.icontains(text, autoescape=True) for column in (title, records.c.rule, attention.c.cause_key)]
    query = (
        select(attention.c.cause_key, func.min(title).label("title"), func.count().label("cells"))
        .join(systems, systems.c.id == attention.c.system)
        .join(cells, cells.c.id == attention.c.cell)
        .join(records, records.c.id == cells.c.last_record)
        .where(attention.c.outcome != PASS, matches[0] | matches[1] | matches[2])
        .group_by(attention.c.cause_key)
        .order_by(func.count().desc(), attention.c.cause_key)
    )
    return _facts(question, query)


def _runs(question: Question, text: str) -> list[Facts]:
    """Return the runs whose names begin with the text; an index has them in this order."""
    begins = (runs.c.run_id >= text, runs.c.run_id < text + "\U0010ffff")
    query = (
        select(runs.c.run_id, systems.c.site, systems.c.system, runs.c.started)
        .join(systems, systems.c.id == runs.c.system)
        .where(*begins)
        .order_by(runs.c.started.desc())
    )
    return [row | {"started": formatting.at(row["started"])} for row in _facts(question, query)]


def _facts(question: Question, query: Any) -> list[Facts]:
    rows = question.connection.execute(question.visibility.of(query).limit(MOST))
    return [dict(row._mapping) for row in rows]


PAGE = Page("/search", "search.html", answer, exported=False)
