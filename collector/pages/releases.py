"""All tested releases: on how many systems, in how many runs, and when first and last."""

from __future__ import annotations

from sqlalchemy import func, select

from collector import formatting
from collector.rendering.base import Facts, Page, Question
from collector.store.tables import runs, systems


def answer(question: Question) -> Facts:
    query = (
        select(runs.c.release, runs.c.system, func.count().label("number"), func.min(runs.c.started).label("first"))
        .add_columns(func.max(runs.c.started).label("last"))
        .join(systems, systems.c.id == runs.c.system)
        .where(runs.c.release.is_not(None))
        .group_by(runs.c.release, runs.c.system)
    )
    by_release: dict[str, list[tuple[int, int, int]]] = {}
    for row in question.connection.execute(question.visibility.of(query)):
        by_release.setdefault(row.release, []).append((row.number, row.first, row.last))
    releases = [
        {
            "release": release,
            "systems": len(parts),
            "runs": sum(number for number, _, _ in parts),
            "first": formatting.at(min(first for _, first, _ in parts)),
            "last": formatting.at(max(last for _, _, last in parts)),
        }
        for release, parts in by_release.items()
    ]
    return {"releases": sorted(releases, key=lambda each: (each["first"], each["release"]), reverse=True)}


PAGE = Page("/releases", "releases.html", answer, section="releases", rows=lambda facts: facts["releases"])
