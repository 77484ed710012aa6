"""From an attempt that did not pass to its judgement with a diagnosis, after a look at what the attempt left behind."""

from __future__ import annotations

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Outcome
from sdk_tests.diagnosis import diagnosed
from sdk_tests.judging.classification import Health, classify
from sdk_tests.judging.comparison import Comparison, with_values
from sdk_tests.judging.examination import Examination, observed
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.preparation import Preparation

EMPTY = ("cancelled", "blocked", "control-failed")
"""Endings of attempts that left nothing behind."""


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
        texts = self._examination.texts(cell, result, self._requests.scratch(cell, result.attempt))
        return classify(result, health, cell.control, texts, observed(result, texts, None, None))

    def of_judgement(
        self, cell: Cell, judgement: Judgement, result: AttemptResult, compared: Comparison | None
    ) -> Judgement:
        """Return what the test function found, with the cause that output, answer and logs name."""
        if judgement.outcome not in (Outcome.FAIL, Outcome.ERROR):
            return judgement
        texts = self._examination.texts(cell, result, self._requests.scratch(cell, result.attempt))
        expected, got = (compared.expected, compared.got) if compared is not None else (None, None)
        return diagnosed(with_values(judgement, compared), texts, observed(result, texts, expected, got))
