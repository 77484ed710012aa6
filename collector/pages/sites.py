"""All sites: each with its systems, their health and their last contact."""

from __future__ import annotations

from typing import Any

from collector import formatting
from collector.rendering.base import Facts, Page, Question
from collector.rendering.health import health, health_query
from collector.status.filters import Filters


def answer(question: Question) -> Facts:
    by_site: dict[str, dict[str, list[Any]]] = {}
    query = health_query().where(*Filters.of(question.query, question.now).systems())
    for row in question.connection.execute(question.visibility.of(query)):
        by_site.setdefault(row.site, {}).setdefault(row.system, []).append(row)
    return {
        "sites": [
            {
                "site": site,
                "systems": [
                    {"system": name, "contact": formatting.at_or_none(rows[0].contact)} | health(rows, question.now)
                    for name, rows in by_system.items()
                ],
            }
            for site, by_system in by_site.items()
        ]
    }


def _rows(facts: Facts) -> list[Facts]:
    return [{"site": site["site"], **system} for site in facts["sites"] for system in site["systems"]]


PAGE = Page("/sites", "sites.html", answer, section="sites", rows=_rows)
