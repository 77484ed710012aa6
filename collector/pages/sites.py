"""All sites: each with its systems, their health and their last contact; a hundred systems on a page."""

from __future__ import annotations

from typing import Any

from collector import formatting
from collector.rendering.base import Facts, Page, Question
from collector.rendering.health import health, health_page
from collector.rendering.paging import Paging, pager
from collector.status.filters import Filters

PER_PAGE = 100


def answer(question: Question) -> Facts:
    paging, conditions = Paging.of(question, PER_PAGE), Filters.of(question.query, question.now).systems()
    rows, number = health_page(question.connection, question.visibility, paging, conditions)
    by_site: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        by_site.setdefault(row.site, {}).setdefault(row.system, []).append(row)
    return {
        **paging.facts(number),
        "systems": number,
        "sites": [
            {
                "site": site,
                "systems": [
                    {"system": name, "contact": formatting.at_or_none(rows[0].contact)} | health(rows, question.now)
                    for name, rows in by_system.items()
                ],
            }
            for site, by_system in by_site.items()
        ],
    }


def draw(question: Question, facts: Facts) -> Facts:
    return {"pager": pager(question, facts, "sites")}


def _rows(facts: Facts) -> list[Facts]:
    return [{"site": site["site"], **system} for site in facts["sites"] for system in site["systems"]]


PAGE = Page("/sites", "sites.html", answer, draw, section="sites", rows=_rows)
