"""One run: its matrix, what needs attention, and every planned case, also those that did not report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from collector import formatting
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES, PASS, PASSED
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.run_lines import run_line
from collector.status import queries
from collector.store.rollups import is_open
from dashboard_client.schema import CONTROL, Closing, Manifest, record_id


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
    return run_line(run, question.now) | {
        "notices": _notices(run, manifest),
        "owner": manifest.owner if manifest else None,
        "harness": manifest.harness if manifest else None,
        "deployments": manifest.deployments if manifest else [],
        "selection": manifest.selection if manifest else None,
        "has_manifest": manifest is not None,
        "cases": [
            _case(run, cell, outcome, effective.get(cell.id), tries.get(cell.id, 0), place < planned)
            for place, (cell, outcome) in enumerate(zip(cells, run.outcomes, strict=True))
        ],
    }


def draw(question: Question, facts: Facts) -> Facts:
    open_ = facts["state"] == "open"
    groups: dict[str, list[Facts]] = {}
    by_crossing: dict[tuple[str, str], list[Facts]] = {}
    for case in facts["cases"]:
        groups.setdefault(case["subject"], []).append(case)
        by_crossing.setdefault((case["subject"], case["scheduler"]), []).append(case)
    schedulers = sorted({scheduler for _, scheduler in by_crossing})
    ordered = sorted(groups, key=formatting.control_first)
    tiles = {key: _tile(question, key, cases, open_) for key, cases in by_crossing.items()}
    rows = [
        (Markup("{}").format(formatting.subject(name)), [tiles.get((name, each)) for each in schedulers])
        for name in ordered
    ]
    heads = [Markup("{}").format(each or "—") for each in schedulers]
    rank = {OUTCOME_NAMES[char]: place for place, char in enumerate(ORDER[: ORDER.index(PASS)])}
    attention = sorted(
        (case for case in facts["cases"] if case["outcome"] in rank), key=lambda case: rank[case["outcome"]]
    )
    return {
        "table": markup.matrix("Component by scheduler", "component", heads, rows, compact=True) if rows else "",
        "groups": [(name, groups[name]) for name in ordered],
        "attention": attention,
        "bar": markup.bar(facts["counts"]) if facts["counts"] else "",
    }


def _tile(question: Question, key: tuple[str, str], cases: Sequence[Facts], open_: bool) -> Markup:
    outcomes = "".join(case["char"] for case in cases)
    emulated = sum(case["emulated"] for case in cases)
    return markup.tile(
        f"#{formatting.anchor(key[0])}",
        f"{key[0]} on {key[1]}",
        markup.overall_outcome(outcomes, open_),
        markup.counts_of(outcomes, open_),
        now=question.now,
        emulated=emulated,
        plain=not markup.only_emulated(outcomes, emulated),
        nested=key[1].partition("+")[2] or None,
    )


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
