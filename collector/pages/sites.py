"""All sites: each with its systems, their health and their last contact."""

from __future__ import annotations

from typing import Any

from collector import formatting
from collector.rendering.base import Facts, Page, Question
from collector.rendering.health import health, health_query


def answer(question: Question) -> Facts:
    by_site: dict[str, dict[str, list[Any]]] = {}
    for row in question.connection.execute(question.visibility.of(health_query())):
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


PAGE = Page("/sites", "sites.html", answer, section="sites")
