"""One run: its matrix, what needs attention, and every planned case, also those that did not report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup

from collector import formatting
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES, PASS, PASSED
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.paging import Paging, pager, query_of
from collector.rendering.run_lines import run_line
from collector.status import queries
from collector.store.rollups import is_open
from dashboard_client.schema import CONTROL, Closing, Manifest, record_id

PER_PAGE = 500
MOST_FAILING = 200
"""The number of cases that did not pass and that are listed before all others."""

RANK = {OUTCOME_NAMES[char]: place for place, char in enumerate(ORDER[: ORDER.index(PASS)])}


def answer(question: Question) -> Facts:
    run_id = question.path["run_id"]
    place = (question.path.get("site"), question.path.get("system"))
    run = queries.find_run(question.connection, run_id, question.visibility, *place)
    if run is None:
        raise not_found("run", run_id)
    cells = queries.run_cells(question.connection, run)
    records = queries.run_records(question.connection, run.id)
    manifest = msgspec.json.decode(run.manifest, type=Manifest) if run.manifest is not None else None
    planned = len(manifest.planned) if manifest is not None else len(cells)
    effective = {record.cell: record for record in records}
    tries: dict[int, int] = {}
    for record in records:
        tries[record.cell] = tries.get(record.cell, 0) + 1
    cases = [
        _case(run, cell, outcome, effective.get(cell.id), tries.get(cell.id, 0), place < planned)
        for place, (cell, outcome) in enumerate(zip(cells, run.outcomes, strict=True))
    ]
    paging = Paging.of(question, PER_PAGE)
    if paging.size is not None and len(cases) > paging.size:  # each component is then on as few pages as possible
        cases.sort(key=lambda case: formatting.control_first(case["subject"]))
    failing = sorted((case for case in cases if case["outcome"] in RANK), key=lambda case: RANK[case["outcome"]])
    return run_line(run, question.now) | {
        "notices": _notices(run, manifest),
        "owner": manifest.owner if manifest else None,
        "harness": manifest.harness if manifest else None,
        "deployments": manifest.deployments if manifest else [],
        "selection": manifest.selection if manifest else None,
        "has_manifest": manifest is not None,
        **paging.facts(len(cases)),
        "matrix": _matrix(cases, paging),
        "attention": failing if question.static else failing[:MOST_FAILING],
        "failing": len(failing),
        "cases": paging.part(cases),
    }


def _matrix(cases: Sequence[Facts], paging: Paging) -> list[Facts]:
    """Return the outcomes of each component on each scheduler, and the page on which its first case is listed."""
    by_crossing: dict[tuple[str, str], list[Facts]] = {}
    pages: dict[str, int] = {}
    for place, case in enumerate(cases):
        by_crossing.setdefault((case["subject"], case["scheduler"]), []).append(case)
        pages.setdefault(case["subject"], 1 if paging.size is None else place // paging.size + 1)
    return [
        {
            "subject": subject,
            "scheduler": scheduler,
            "outcomes": "".join(case["char"] for case in some),
            "emulated": sum(case["emulated"] for case in some),
            "page": pages[subject],
        }
        for (subject, scheduler), some in by_crossing.items()
    ]


def draw(question: Question, facts: Facts) -> Facts:
    open_ = facts["state"] == "open"
    groups: dict[str, list[Facts]] = {}
    for case in facts["cases"]:
        groups.setdefault(case["subject"], []).append(case)
    tiles = {(it["subject"], it["scheduler"]): _tile(question, it, facts["page"], open_) for it in facts["matrix"]}
    schedulers = sorted({scheduler for _, scheduler in tiles})
    rows = [
        (Markup("{}").format(formatting.subject(name)), [tiles.get((name, each)) for each in schedulers])
        for name in sorted({subject for subject, _ in tiles}, key=formatting.control_first)
    ]
    heads = [Markup("{}").format(each or "—") for each in schedulers]
    here = ("runs", facts["site"], facts["system"], facts["run_id"])
    return {
        "table": markup.tile_table("Component by scheduler", "component", heads, rows, "compact") if rows else "",
        "groups": [(name, groups[name]) for name in sorted(groups, key=formatting.control_first)],
        "bar": markup.bar(facts["counts"]) if facts["counts"] else "",
        "pager": pager(question, facts, *here, of="cases"),
    }


def _tile(question: Question, it: Facts, page: int, open_: bool) -> Markup:
    name, scheduler, outcomes = it["subject"], it["scheduler"], it["outcomes"]
    to = "" if it["page"] == page else "?" + urlencode(query_of(question, page=str(it["page"]), token=_token(question)))
    return markup.tile(
        f"{to}#{formatting.anchor(name)}",
        f"{name} on {scheduler}",
        markup.overall_outcome(outcomes, open_),
        markup.counts_of(outcomes, open_),
        now=question.now,
        emulated=it["emulated"],
        plain=not markup.only_emulated(outcomes, it["emulated"]),
        nested=scheduler.partition("+")[2] or None,
    )


def _token(question: Question) -> str:
    return question.query.get("token", "")


def _case(run: Any, cell: Any, outcome: str, record: Any, tries: int, planned: bool) -> Facts:
    case = {
        "case_id": cell.case_id,
        "cell": cell.id,
        "subject": cell.subject,
        "scheduler": cell.scheduler,
        "outcome": markup.overall_outcome(outcome, is_open(run)),
        "char": outcome,
        "planned": planned,
        "attempts": tries,
        "record_id": None,
        "cause": None,
        "phase": None,
        "rule": None,
        "evidence": None,
        "queue_wait": None,
        "seconds": None,
        "emulated": False,
    }
    if record is None:
        return case
    return case | {
        "record_id": record_id(run.site, run.system, run.run_id, cell.case_id, record.attempt),
        "cause": record.cause,
        "phase": record.phase,
        "rule": record.rule,
        "evidence": record.evidence,
        "queue_wait": record.queue_wait,
        "seconds": record.seconds,
        "emulated": record.emulated,
    }


def _notices(run: Any, manifest: Manifest | None) -> list[str]:
    notices = []
    if manifest is None:
        notices.append("The manifest of this run has not been received: its planned and missing cases are unknown.")
    if run.overdue:
        notices.append(
            "This run should have ended and was not closed: its planned cases without a result are missing. "
            "If it has ended, push its results; if it was interrupted, resume it."
        )
    if (clock := formatting.clock_off(run.skew)) is not None:
        notices.append(
            f"The machine that sent this run has its {clock}: its times are converted to those of the collector."
        )
    if run.state == "interrupted":
        notices.append("This run was interrupted. Resume it to complete it.")
    if run.closing is not None and manifest is not None:
        recorded = msgspec.json.decode(run.closing, type=Closing).recorded
        received = len(run.outcomes[: len(manifest.planned)].replace(MISSING, ""))
        if recorded > received:
            notices.append(
                f"The run recorded {recorded} cases, but only {received} of them were received. "
                "Push the results of the run again."
            )
    if not is_open(run) and run.outcomes:
        planned = [each.component for each in manifest.planned] if manifest is not None else []
        passed = [place for place, outcome in enumerate(run.outcomes) if outcome in PASSED]
        if not passed:
            notices.append("Nothing passed in this run.")
        elif {*planned} != {CONTROL} and all(planned[place : place + 1] == [CONTROL] for place in passed):
            notices.append("Only control cases passed in this run.")
    return notices


PAGE = Page("/runs/{site}/{system}/{run_id}", "run.html", answer, draw, rows=lambda facts: facts["cases"])
