"""All sites: each with its systems, how they stand and when they last said something."""

from __future__ import annotations

from typing import Any

from collector import formatting
from collector.rendering.base import Facts, Page, Question
from collector.rendering.health import health, health_query


def answer(question: Question) -> Facts:
    found: dict[str, dict[str, list[Any]]] = {}
    for row in question.connection.execute(question.visibility.of(health_query())):
        found.setdefault(row.site, {}).setdefault(row.system, []).append(row)
    return {
        "sites": [
            {
                "site": site,
                "systems": [
                    {"system": name, "contact": formatting.at_or_none(rows[0].contact)} | health(rows, question.now)
                    for name, rows in of.items()
                ],
            }
            for site, of in found.items()
        ]
    }


PAGE = Page("/sites", "sites.html", answer, section="sites")
