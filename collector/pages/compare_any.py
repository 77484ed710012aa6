"""Any two runs, systems or sites beside each other, chosen in the address: ``?before=…&after=…``.

``SITE/SYSTEM/RUN`` and ``RUN`` name a run; ``SITE/SYSTEM`` its newest run that has ended; ``SITE`` all present results
of a site.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from collector import formatting
from collector.outcomes import OUTCOME_NAMES, worst
from collector.pages import compare
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.status import queries
from collector.store.tables import board, plans, runs, systems

SIDES = ("before", "after")


def answer(question: Question) -> Facts:
    names = [question.query.get(side, "").strip().strip("/") for side in SIDES]
    facts: Facts = {"names": names, "runs": None, "sites": None}
    if not all(names):
        return facts
    if not any("/" in name for name in names):
        sides = [_site(question, name) for name in names]
        if all(sides):
            return facts | {"sites": _beside(*sides)}
    return facts | {"runs": compare.compare_runs(question, [_run(question, name) for name in names])}


def draw(question: Question, facts: Facts) -> Facts:
    return (
        {"groups": [], "differences": [], "most": 0} if facts["runs"] is None else compare.draw(question, facts["runs"])
    )


def _run(question: Question, name: str) -> Any:
    """Return the run that a name means.

    Raises:
        Problem: 404, there is none.
    """
    query = (
        select(*queries.RUN_COLUMNS, runs.c.manifest, plans.c.cells.label("plan"))
        .join(systems, systems.c.id == runs.c.system)
        .outerjoin(plans, plans.c.id == runs.c.plan)
    )
    parts = name.split("/")
    if len(parts) == 1:
        query = query.where(runs.c.run_id == name)
    else:
        query = query.where(systems.c.site == parts[0], systems.c.system == parts[1])
        ended = runs.c.state.is_not(None) | runs.c.overdue
        query = query.where(ended if len(parts) == 2 else runs.c.run_id == "/".join(parts[2:]))
    newest = query.order_by(runs.c.started.desc(), runs.c.run_id.desc()).limit(1)
    row = question.connection.execute(question.visibility.of(newest)).one_or_none()
    if row is None:
        raise not_found("run, system or site", name)
    return row


def _site(question: Question, site: str) -> dict[str, Facts]:
    """Return the present state of each component at a site; empty if there is no such site."""
    query = (
        select(board.c.subject, board.c.outcomes, board.c.version, board.c.emulated)
        .join(systems, systems.c.id == board.c.system)
        .where(systems.c.site == site)
        .order_by(board.c.subject, systems.c.system)
    )
    sides: dict[str, Facts] = {}
    for row in question.connection.execute(question.visibility.of(query)):
        side = sides.setdefault(row.subject, {"outcomes": "", "versions": [], "systems": 0, "emulated": 0})
        side["outcomes"] += row.outcomes
        side["systems"] += 1
        side["emulated"] += row.emulated
        if row.version is not None and row.version not in side["versions"]:
            side["versions"].append(row.version)
    return sides


def _beside(before: dict[str, Facts], after: dict[str, Facts]) -> list[Facts]:
    subjects = sorted(before.keys() | after.keys(), key=formatting.control_first)
    return [
        {"subject": subject, "before": _state(before.get(subject)), "after": _state(after.get(subject))}
        for subject in subjects
    ]


def _state(side: Facts | None) -> Facts | None:
    if side is None:
        return None
    outcomes = side["outcomes"]
    return {
        "outcome": OUTCOME_NAMES[worst(outcomes)],
        "counts": markup.counts_of(outcomes),
        "versions": sorted(side["versions"]),
        "systems": side["systems"],
        "only_emulated": markup.only_emulated(outcomes, side["emulated"]),
    }


def _rows(facts: Facts) -> list[Facts]:
    return facts["runs"]["cases"] if facts["runs"] is not None else facts["sites"] or []


PAGE = Page("/compare", "compare_any.html", answer, draw, section="compare", rows=_rows, exported=False)
