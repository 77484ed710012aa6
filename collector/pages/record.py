"""One attempt of one case: its phases, its cause with the evidence, and the command that runs it again."""

from __future__ import annotations

import msgspec

from collector import formatting
from collector.outcomes import OUTCOME_NAMES
from collector.rendering.base import Facts, Page, Question, not_found
from collector.status import queries
from dashboard_client.schema import Record, record_id

PHASES = ("setup", "queue_wait", "launch", "run", "collect", "teardown")


def answer(question: Question) -> Facts:
    wanted = question.path["record_id"]
    row = queries.find_record(question.connection, wanted, question.visibility)
    if row is None:
        raise not_found("record", wanted)
    attempts = queries.attempts(question.connection, row.run, row.cell)
    return {
        "record_id": queries.row_record_id(row),
        "case_id": row.case_id,
        "cell": row.cell,
        "run_id": row.run_id,
        "site": row.site,
        "system": row.system,
        "outcome": OUTCOME_NAMES[row.outcome],
        "attempt": row.attempt,
        "final": row.final,
        "emulated": row.emulated,
        "cause": row.cause,
        "phase": row.phase,
        "rule": row.rule,
        "evidence": row.evidence,
        "when": formatting.at(row.ended or row.started or row.received),
        "received": formatting.at(row.received),
        "digest": bytes(row.digest).hex(),
        "whole": queries.is_whole(row),
        "attempts": [
            {
                "attempt": each.attempt,
                "outcome": OUTCOME_NAMES[each.outcome],
                "emulated": each.emulated,
                "record_id": record_id(row.site, row.system, row.run_id, row.case_id, each.attempt),
            }
            for each in attempts
        ],
        "record": None if row.body is None else msgspec.json.decode(row.body, type=Record),
    }


def draw(question: Question, facts: Facts) -> Facts:
    record: Record | None = facts["record"]
    spans: list[Facts] = []
    total = 0.0
    for phase in PHASES:
        span = getattr(record.timing, phase) if record is not None else None
        if span is not None and span.seconds < 0:  # a clock was set back during it
            span = None
        spans.append({"phase": phase, "span": span, "offset": total})
        total += span.seconds if span is not None else 0.0
    for each in spans:
        length = each["span"].seconds if each["span"] is not None else 0.0
        each["x"] = round(1000 * each["offset"] / total, 2) if total else 0
        each["width"] = round(max(1000 * length / total, 1.5), 2) if total and length else 0
    return {"record": record, "spans": spans, "total": total}


PAGE = Page("/records/{record_id}", "record.html", answer, draw)
