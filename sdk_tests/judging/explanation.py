"""From an attempt that did not pass to its judgement with a diagnosis, after a look at what the attempt left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Outcome
from sdk_tests.diagnosis import completed, diagnosed
from sdk_tests.diagnosis.diagnose import LONGEST
from sdk_tests.diagnosis.rule import unknown_key
from sdk_tests.diagnosis.rules import OWN
from sdk_tests.judging.classification import Health, classify
from sdk_tests.judging.comparison import Comparison, with_values
from sdk_tests.judging.examination import Examination, observed
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.preparation import Preparation

EMPTY = ("cancelled", "blocked", "control-failed")
"""Endings of attempts that left nothing behind."""
HOW_IT_ENDED = ("payload-failed", "time-limit", "killed-by-signal", "not-executable", "no-answer")
"""Rules that state only how a program ended. Of a fixture that did not start, no message gives the reason."""


class Explanations:
    """Explains the attempts of one run."""

    def __init__(self, preparation: Preparation, folder: RunFolder, requests: LaunchRequests) -> None:
        self._requests = requests
        private = folder.private
        self._examination = Examination(preparation, private, requests.work, requests.kept_below(private))

    def of_ending(self, cell: Cell, result: AttemptResult, health: Health) -> Judgement:
        """Return the judgement of an attempt that no test function can judge."""
        if result.ending in EMPTY:
            return classify(result, health, cell.control)
        texts = self._examination.texts(cell, result, self._scratch(cell, result))
        judgement = classify(result, health, cell.control, texts, observed(result, texts, None, None))
        return unserved(judgement, result.fixture) if result.fixture_failed else judgement

    def _scratch(self, cell: Cell, result: AttemptResult) -> Path:
        """Return the folder in which an attempt worked, or the fixture that failed in its place."""
        if not result.fixture_failed:
            return self._requests.scratch(cell, result.attempt)
        starts = self._requests.fixture_scratch(result.fixture)
        return max(starts.iterdir(), key=lambda folder: int(folder.name), default=starts)

    def of_judgement(
        self, cell: Cell, judgement: Judgement, result: AttemptResult, compared: Comparison | None
    ) -> Judgement:
        """Return what the test function found, with the cause that output, answer and logs name."""
        if judgement.outcome not in (Outcome.FAIL, Outcome.ERROR):
            return judgement
        texts = self._examination.texts(cell, result, self._scratch(cell, result))
        expected, got = (compared.expected, compared.got) if compared is not None else (None, None)
        return diagnosed(with_values(judgement, compared), texts, observed(result, texts, expected, got))


def unserved(judgement: Judgement, fixture: str) -> Judgement:
    """Return the judgement of a case that did not run because its fixture did not start, from that of the fixture.

    All such cases have one cause key. It is the cause's own if a message names the cause, and otherwise the fixture's.
    """
    cause, diagnosis = judgement.cause, completed(judgement).diagnosis
    if diagnosis is None or diagnosis.blocked_by is not None:  # the site is at fault
        return judgement
    evidence = f"the {fixture} did not start: {cause.evidence}"[:LONGEST]
    title, advice, key = f"the {fixture} did not start: {diagnosis.title}", diagnosis.advice, diagnosis.cause_key
    rule = cause.rule
    if rule in HOW_IT_ENDED:
        rule = "fixture-does-not-start"
        title, advice = evidence, OWN[rule][1]
        key = unknown_key(rule, f"{fixture} {diagnosis.line or cause.evidence}")
    return replace(
        judgement,
        cause=msgspec.structs.replace(cause, rule=rule, evidence=evidence),
        diagnosis=msgspec.structs.replace(diagnosis, title=title, advice=advice, cause_key=key, blocked_by=key),
    )
