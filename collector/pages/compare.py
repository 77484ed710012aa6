"""Two runs compared: which cases newly fail, which are fixed, and which exist in only one of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import select

from collector.outcomes import MISSING, PASS
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.run_lines import run_line
from collector.status import queries
from collector.store.names import ambiguous_run
from collector.store.rollups import is_open, parse_cells
from collector.store.tables import cells, plans, records, runs, systems
from dashboard_client.schema import Manifest

DRAWN = 300
"""The number of cases of each kind that the page draws."""

KINDS = ("newly failing", "fixed", "otherwise changed", "added", "removed")
SLOWER = 1.5
"""A case is listed as slower if it takes this many times as long as before, and at least five seconds longer."""


Side = tuple[str, int, float | None, bool]
"""A case in one run: its outcome, the key of its cell, its run time in seconds, and whether an emulator ran it."""


def answer(question: Question) -> Facts:
    names = [question.path["before"], question.path["after"]]
    columns = (*queries.RUN_COLUMNS, runs.c.manifest, plans.c.cells.label("plan"))
    query = (
        select(*columns)
        .join(systems, systems.c.id == runs.c.system)
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.run_id.in_(names))
    )
    rows = question.connection.execute(question.visibility.of(query)).all()
    return compare_runs(question, _pair(rows, names, question.query.get("system")))


def compare_runs(question: Question, pair: Sequence[Any]) -> Facts:
    """Return the differences of two runs, of one or of two systems; each has its manifest and its plan."""
    sides = [_cases(question, run) for run in pair] if pair[0] is not pair[1] else [_cases(question, pair[0])] * 2
    cases = [_case(case_id, *(side.get(case_id) for side in sides)) for case_id in _all_case_ids(*sides)]
    return {
        "before": run_line(pair[0], question.now),
        "after": run_line(pair[1], question.now),
        "stack": [_stack(run, question.now) for run in pair],
        "counts": {kind: sum(case["kind"] == kind for case in cases) for kind in KINDS},
        "unchanged": sum(case["kind"] is None for case in cases),
        "slower": [case for case in cases if case["slower"]],
        "cases": [case for case in cases if case["kind"] is not None],
    }


def _pair(rows: Sequence[Any], names: Sequence[str], place: str | None) -> list[Any]:
    """Return the two runs: of the system SITE/SYSTEM ``place``, else the only ones, else those of one system.

    Raises:
        Problem: 404, a run does not exist for this reader; 409, several systems have runs of these ids.
    """
    by_name = {
        name: {f"{row.site}/{row.system}": row for row in rows if row.run_id == name} for name in dict.fromkeys(names)
    }
    for name, found in by_name.items():
        if place is not None:
            by_name[name] = {each: row for each, row in found.items() if each == place}
        if not by_name[name]:
            raise not_found("run", name)
    common = set.intersection(*(set(found) for found in by_name.values()))
    for name, found in by_name.items():
        if len(found) > 1 and len(common) != 1:
            raise ambiguous_run(name, found, "Add ?system=SITE/SYSTEM to the address.")
    (only,) = common if len(common) == 1 else (None,)
    return [found[only] if only in found else next(iter(found.values())) for found in map(by_name.__getitem__, names)]


def draw(question: Question, facts: Facts) -> Facts:
    grouped = [(kind, [case for case in facts["cases"] if case["kind"] == kind]) for kind in KINDS]
    names = [key for key in facts["stack"][0] if facts["stack"][0][key] != facts["stack"][1][key]]
    return {"groups": [group for group in grouped if group[1]], "differences": names, "most": DRAWN}


def _cases(question: Question, run: Any) -> dict[str, Side]:
    """Return the cases of a run by case id."""
    layout = (*(parse_cells(run.plan) if run.plan else ()), *parse_cells(run.extra))
    if not layout:
        return {}
    within = records.c.id.between(run.id << 20, ((run.id + 1) << 20) - 1)
    query = (
        select(cells.c.id, cells.c.case_id, records.c.seconds, records.c.emulated)
        .outerjoin(records, (records.c.cell == cells.c.id) & (records.c.run == run.id) & within)
        .where(cells.c.system == run.system_key, cells.c.id.between(min(layout), max(layout)))
        .order_by(records.c.attempt)
    )
    named = {row.id: row for row in question.connection.execute(query)}
    outcomes = run.outcomes.replace(MISSING, markup.PENDING) if is_open(run) else run.outcomes
    return {
        named[cell].case_id: (outcome, cell, named[cell].seconds, bool(named[cell].emulated))
        for cell, outcome in zip(layout, outcomes, strict=True)
    }


def _all_case_ids(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [*after, *(case_id for case_id in before if case_id not in after)]


def _case(case_id: str, before: Side | None, after: Side | None) -> Facts:
    old, new = before[0] if before else None, after[0] if after else None
    seconds = (before[2] if before else None, after[2] if after else None)
    slower = (
        seconds[0] is not None
        and seconds[1] is not None
        and seconds[1] > seconds[0] * SLOWER
        and seconds[1] - seconds[0] >= 5
    )
    if old is None:
        kind: str | None = "added"
    elif new is None:
        kind = "removed"
    elif old == new:
        kind = None
    elif old == PASS or (new in "fei." and old not in "fei."):
        kind = "newly failing" if new in "fei." else "otherwise changed"
    else:
        kind = "fixed" if new == PASS else "otherwise changed"
    return {
        "case_id": case_id,
        "kind": kind,
        "before": markup.DISPLAY_NAMES[old] if old else None,
        "after": markup.DISPLAY_NAMES[new] if new else None,
        "emulated": [side is not None and side[3] for side in (before, after)],
        "cell": (after or before or ("", 0, None, False))[1],
        "seconds_before": seconds[0],
        "seconds_after": seconds[1],
        "slower": slower,
    }


def _stack(run: Any, now: int) -> Facts:
    manifest = msgspec.json.decode(run.manifest, type=Manifest) if run.manifest is not None else None
    deployments = manifest.deployments if manifest else []
    return {
        "system": f"{run.site} / {run.system}",
        "release": run.release,
        "deployments": ", ".join(f"{each.name} {each.digest[:12]}" for each in deployments) or run.stack,
        "schedulers": ", ".join(f"{name} {version}" for name, version in run_line(run, now)["schedulers"].items())
        or None,
        "harness": f"{manifest.harness.version} {(manifest.harness.commit or '')[:12]}".strip() if manifest else None,
        "selection": run.tier,
        "trigger": run.trigger,
    }


PAGE = Page("/compare/{before}/{after}", "compare.html", answer, draw, rows=lambda facts: facts["cases"])
