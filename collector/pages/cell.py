"""One case on one system: its history, and what changed between its last pass and the first failure after it."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, select

from collector import formatting
from collector.outcomes import MISSING, OUTCOME_NAMES
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.status.changes import differences
from collector.status.figures import series_facts, series_query
from collector.status.reliability import reliability, since_pass, words
from collector.store.rollups import is_open, positions
from collector.store.streaks import flake_score, is_flaky
from collector.store.tables import bodies, cells, plans, records, runs, series, systems
from dashboard_client.schema import Record, record_id

RUNS = 60
LONGEST_TAIL = 600
"""The number of characters of the output that the comparison of two records shows."""

CHARS = {name: char for char, name in OUTCOME_NAMES.items()}


def answer(question: Question) -> Facts:
    number = question.path["cell"]
    connection = question.connection
    query = select(cells, systems.c.site, systems.c.system.label("name")).join(systems, systems.c.id == cells.c.system)
    valid = number.isascii() and number.isdigit() and len(number) < 16
    cell = (
        connection.execute(question.visibility.of(query.where(cells.c.id == int(number)))).one_or_none()
        if valid
        else None
    )
    if cell is None:
        raise not_found("case", number)
    columns = (runs.c.id, runs.c.run_id, runs.c.started, runs.c.release, runs.c.state, runs.c.overdue, runs.c.extra)
    newest = connection.execute(
        select(*columns, runs.c.outcomes, plans.c.cells.label("plan"))
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.system == cell.system)
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
        .limit(RUNS)
    ).all()
    pair = [run for run in (cell.pass_run, cell.fail_run) if run is not None]
    effective = _effective(connection, cell.id, pair)
    passed, failed = effective.get(cell.pass_run), effective.get(cell.fail_run)
    before, after = _body(passed), _body(failed)
    measured = connection.execute(series_query().where(series.c.cell == cell.id)).all()
    history = _history(cell.id, newest)
    return {
        "case_id": cell.case_id,
        "cell": cell.id,
        "site": cell.site,
        "system": cell.name,
        "subject": cell.subject,
        "outcome": OUTCOME_NAMES[cell.last_outcome] if cell.last_outcome else "pending",
        "since": formatting.at_or_none(cell.since_started),
        "emulated": bool(cell.last_emulated),
        "version": cell.last_version,
        "flaky": is_flaky(cell.turns),
        "flake_score": flake_score(cell.history, cell.turns),
        "history": history,
        **reliability("".join(CHARS.get(each["outcome"], "") for each in history)),
        "since_pass": since_pass(cell.history),
        "figures": [series_facts(row) for row in measured],
        "last_pass": _side(cell, passed),
        "first_failure": _side(cell, failed),
        "changed": differences(before, after) if before is not None and after is not None else None,
    }


def draw(question: Question, facts: Facts) -> Facts:
    changed = facts["changed"] or []
    return {
        "different": [each for each in changed if each["changed"]],
        "same": [each for each in changed if not each["changed"]],
        "reliability": words(facts),
        "details": _beside(facts["last_pass"], facts["first_failure"]),
    }


def _beside(before: Facts | None, after: Facts | None) -> list[tuple[str, str | None, str | None]]:
    """Return the details of both records by name; empty unless there are both."""
    if before is None or after is None:
        return []
    left, right = before["details"], after["details"]
    return [(name, left.get(name), right.get(name)) for name in dict.fromkeys((*left, *right))]


def _effective(connection: Any, cell: int, pair: list[int]) -> dict[int | None, Row[Any]]:
    """Return the last attempt of the case in each run, with the body of its record if that is still stored."""
    if not pair:
        return {}
    query = (
        select(records.c.run, records.c.attempt, records.c.outcome, records.c.cause, records.c.phase, records.c.rule)
        .add_columns(
            records.c.evidence, records.c.emulated, records.c.ended, runs.c.run_id, runs.c.started, bodies.c.body
        )
        .join(runs, runs.c.id == records.c.run)
        .outerjoin(bodies, bodies.c.record == records.c.id)
        .where(records.c.run.in_(pair), records.c.cell == cell)
        .order_by(records.c.attempt)
    )
    return {row.run: row for row in connection.execute(query)}


def _body(row: Row[Any] | None) -> Record | None:
    return None if row is None or row.body is None else msgspec.json.decode(row.body, type=Record)


def _side(cell: Row[Any], row: Row[Any] | None) -> Facts | None:
    if row is None:
        return None
    return {
        "run_id": row.run_id,
        "record_id": record_id(cell.site, cell.name, row.run_id, cell.case_id, row.attempt),
        "outcome": OUTCOME_NAMES[row.outcome],
        "emulated": row.emulated,
        "when": formatting.at(row.ended or row.started),
        "cause": row.cause,
        "phase": row.phase,
        "rule": row.rule,
        "evidence": row.evidence,
        "kept": row.body is not None,
        "details": _details(_body(row)),
    }


def _details(record: Record | None) -> dict[str, str]:
    """Return what the two records are compared by beside the stack: where and how the attempts ran."""
    if record is None:
        return {}
    timing, scheduler, diagnosis = record.timing, record.scheduler, record.diagnosis or None
    waited, ran = timing.queue_wait, timing.run
    values = {
        "queue": record.context.queue,
        "nodes": ", ".join(record.context.nodes),
        "job": ", ".join(scheduler.job_ids),
        "native state": scheduler.native_state,
        "exit code": None if scheduler.exit_code is None else str(scheduler.exit_code),
        "queue wait": formatting.seconds(waited.seconds) if waited else None,
        "run time": formatting.seconds(ran.seconds) if ran else None,
        "expected": diagnosis.expected if diagnosis else None,
        "got": diagnosis.got if diagnosis else None,
        "end of the output": (record.evidence.output_tail or "").strip()[-LONGEST_TAIL:] or None,
    }
    return {name: value for name, value in values.items() if value}


def _history(cell: int, newest: list[Row[Any]] | Any) -> list[Facts]:
    history = []
    for row in newest:
        position = positions(row.plan, row.extra).get(cell)
        if position is None:
            continue
        char = row.outcomes[position]
        outcome = "pending" if char == MISSING and is_open(row) else markup.DISPLAY_NAMES[char]
        history.append(
            {"run_id": row.run_id, "outcome": outcome, "started": formatting.at(row.started), "release": row.release}
        )
    return history


PAGE = Page("/cells/{cell}", "cell.html", answer, draw, rows=lambda facts: facts["history"])
