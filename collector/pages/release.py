"""One release on all systems: for each system its newest complete run of the release, by component.

The verdict is about all systems; the runs are those of forty systems.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import select

from collector import formatting
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.paging import Paging, pager
from collector.rendering.run_lines import run_line
from collector.status import queries
from collector.status.filters import Filters
from collector.store.bulk import among
from collector.store.rollups import is_open, parse_cells, state_of
from collector.store.staleness import is_stale
from collector.store.tables import cells, plans, runs, systems

PER_PAGE = 40
MOST = 100
"""The number of systems that are named for each component that does not work on them."""


def answer(question: Question) -> Facts:
    release = question.path["release"]
    complete = runs.c.partial.is_(False) & (runs.c.state.is_not(None) | runs.c.overdue)
    newest = (
        select(runs.c.id)
        .where(runs.c.system == systems.c.id, runs.c.release == release)
        .order_by(complete.desc(), runs.c.started.desc(), runs.c.run_id.desc())
        .limit(1)
        .correlate(systems)
        .scalar_subquery()
    )
    query = (
        select(*queries.RUN_COLUMNS, plans.c.cells.label("plan"))
        .select_from(systems)
        .join(runs, runs.c.id == newest)
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(*Filters.of(question.query, question.now).systems())
        .order_by(systems.c.site, systems.c.system)
    )
    rows = question.connection.execute(question.visibility.of(query)).all()
    if not rows:
        raise not_found("release", release)
    wanted = [row.system_key for row in rows]
    named = select(cells.c.id, cells.c.subject, cells.c.last_emulated)
    named = named.where(among(question.connection, cells.c.system, wanted))
    subjects = {key: (subject, bool(emulated)) for key, subject, emulated in question.connection.execute(named)}
    paging = Paging.of(question, PER_PAGE)
    lines = [_line(row, question.now) | {"components": _components(row, subjects)} for row in rows]
    components, shown = _verdicts(lines, question.static), set(paging.part(range(len(rows))))
    return {
        "release": release,
        **paging.facts(len(rows)),
        "systems": len(rows),
        "components": components,
        "runs": [
            line | run_line(row, question.now)
            for place, (line, row) in enumerate(zip(lines, rows, strict=True))
            if place in shown
        ],
    }


def _line(row: Any, now: int) -> Facts:
    """Return the facts of a run that the verdict needs."""
    place = {"site": row.site, "system": row.system, "run_id": row.run_id}
    return place | {"stale": is_stale(row.started, row.stale_after, now), "state": state_of(row)}


def _verdicts(lines: list[Facts], everything: bool) -> list[Facts]:
    """Return for each component on how many systems it works, and on which it does not.

    It works if every judged case passed on the real scheduler, in a run that is closed and not stale.
    """
    names = sorted({name for line in lines for name in line["components"]}, key=formatting.control_first)
    verdicts = []
    for name in names:
        tested = [(line, line["components"][name]) for line in lines if name in line["components"]]
        works = [
            line
            for line, state in tested
            if state["outcome"] == "pass"
            and not state["only_emulated"]
            and not line["stale"]
            and line["state"] != "open"
        ]
        working = {id(line) for line in works}
        others = [(line, state) for line, state in tested if id(line) not in working]
        counts: dict[str, int] = {}
        for _, state in tested:
            for outcome, number in state["counts"].items():
                counts[outcome] = counts.get(outcome, 0) + number
        verdicts.append(
            {
                "component": name,
                "systems": len(tested),
                "works": len(works),
                "counts": counts,
                "not_working": len(others),
                "not_on": [
                    {
                        "site": line["site"],
                        "system": line["system"],
                        "run_id": line["run_id"],
                        "outcome": state["outcome"],
                        "because": _because(line, state),
                    }
                    for line, state in others[: None if everything else MOST]
                ],
            }
        )
    return verdicts


def _because(line: Facts, state: Facts) -> list[str]:
    """Return why a pass proves nothing."""
    reasons = {"stale": line["stale"], "emulated": state["only_emulated"], "run is open": line["state"] == "open"}
    return [reason for reason, holds in reasons.items() if holds]


def draw(question: Question, facts: Facts) -> Facts:
    names = sorted({name for run in facts["runs"] for name in run["components"]}, key=formatting.control_first)
    heads = [Markup("{}").format(formatting.subject(name)) for name in names]
    rows = []
    for run in facts["runs"]:
        head = Markup('<small>{}</small><a href="{}">{}</a>').format(
            run["site"], question.link("systems", run["site"], run["system"]), run["system"]
        )
        rows.append((head, [_tile(question, run, name) for name in names]))
    table = markup.tile_table("Each component on each system", "system", heads, rows, "compact")
    return {"table": table, "lines": facts["runs"], "pager": pager(question, facts, "releases", facts["release"])}


def _components(run: Any, subjects: dict[int, tuple[str, bool]]) -> Facts:
    layout = (*(parse_cells(run.plan) if run.plan else ()), *parse_cells(run.extra))
    grouped: dict[str, str] = {}
    emulated: dict[str, int] = {}
    for cell, outcome in zip(layout, run.outcomes, strict=True):
        subject, on_emulator = subjects[cell]
        grouped[subject] = grouped.get(subject, "") + outcome
        emulated[subject] = emulated.get(subject, 0) + on_emulator
    open_ = is_open(run)
    return {
        subject: {
            "outcome": markup.overall_outcome(outcomes, open_),
            "counts": markup.counts_of(outcomes, open_),
            "emulated": emulated[subject],
            "only_emulated": markup.only_emulated(outcomes, emulated[subject]),
        }
        for subject, outcomes in grouped.items()
    }


def _tile(question: Question, run: Facts, name: str) -> Markup | None:
    component = run["components"].get(name)
    if component is None:
        return None
    return markup.tile(
        f"{question.link('runs', run['site'], run['system'], run['run_id'])}#{formatting.anchor(name)}",
        f"{name} on {run['system']}",
        component["outcome"],
        component["counts"],
        now=question.now,
        emulated=component["emulated"],
        plain=not component["only_emulated"],
        stale=run["stale"],
    )


PAGE = Page("/releases/{release}", "release.html", answer, draw, section="releases", rows=lambda facts: facts["runs"])
