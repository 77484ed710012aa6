"""One run: its matrix, what needs a look, and every planned case, those that did not report included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from collector import formatting
from collector.outcomes import MISSING, ORDER, PASS, PASSED, WORD
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_here
from collector.rendering.run_lines import run_line
from collector.status import queries
from dashboard_client.schema import CONTROL, Closing, Manifest, record_id


def answer(question: Question) -> Facts:
    run_id = question.path["run_id"]
    run = queries.find_run(question.connection, run_id, question.visibility)
    if run is None:
        raise not_here("run", run_id)
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
    crossing: dict[tuple[str, str], list[Facts]] = {}
    for case in facts["cases"]:
        groups.setdefault(case["subject"], []).append(case)
        crossing.setdefault((case["subject"], case["scheduler"]), []).append(case)
    schedulers = sorted({scheduler for _, scheduler in crossing})
    ordered = sorted(groups, key=formatting.control_first)
    tiles = {key: _tile(question, key, cases, open_) for key, cases in crossing.items()}
    rows = [
        (Markup("{}").format(formatting.subject(name)), [tiles.get((name, each)) for each in schedulers])
        for name in ordered
    ]
    heads = [Markup("{}").format(each or "—") for each in schedulers]
    rank = {WORD[char]: place for place, char in enumerate(ORDER[: ORDER.index(PASS)])}
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
        markup.shown(outcomes, open_),
        markup.counts_of(outcomes, open_),
        now=question.now,
        emulated=emulated,
        plain=not markup.only_emulated(outcomes, emulated),
        nested=key[1].partition("+")[2] or None,
    )


def _case(run: Any, cell: Any, outcome: str, record: Any, tries: int, planned: bool) -> Facts:
    described = {
        "case_id": cell.case_id,
        "cell": cell.id,
        "subject": cell.subject,
        "scheduler": cell.scheduler,
        "outcome": markup.shown(outcome, run.state is None),
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
        return described
    return described | {
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
        notices.append("The manifest of this run has not come: what was planned, and so what is missing, is not known.")
    if run.state == "interrupted":
        notices.append("This run was interrupted; resuming it completes it.")
    if run.closing is not None and manifest is not None:
        told = msgspec.json.decode(run.closing, type=Closing).recorded
        here = len(run.outcomes[: len(manifest.planned)].replace(MISSING, ""))
        if told > here:
            notices.append(f"The run counted {told} recorded cases, {here} have come: push its results again.")
    if run.state is not None and run.outcomes:
        planned = [each.component for each in manifest.planned] if manifest is not None else []
        passed = [place for place, outcome in enumerate(run.outcomes) if outcome in PASSED]
        if not passed:
            notices.append("Nothing passed in this run.")
        elif {*planned} != {CONTROL} and all(planned[place : place + 1] == [CONTROL] for place in passed):
            notices.append("Nothing but controls passed in this run.")
    return notices


PAGE = Page("/runs/{run_id}", "run.html", answer, draw)
