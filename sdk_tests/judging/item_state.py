"""The values that the harness stores on pytest's items for the plugin, the loop and the front ends."""

from __future__ import annotations

import pytest

from sdk_tests.judging.comparison import Comparison
from sdk_tests.model.attempt import Judgement, Outcome
from sdk_tests.plan.cells import Cell

CELL = pytest.StashKey[Cell]()
"""The cell that an item stands for."""
JUDGE_INPUT = pytest.StashKey[tuple[Judgement | None, Outcome | None]]()
"""What the test function gets: a judgement that is already final, or else the outcome to assert on."""
EXCEPTIONS: pytest.StashKey[dict[str, type[BaseException]]] = pytest.StashKey()
"""The type of the exception that each phase (setup, call, teardown) raised."""
COMPARISON = pytest.StashKey[Comparison]()
"""What the test function expected and got, if it raised."""
REPORTS: pytest.StashKey[dict[str, pytest.TestReport]] = pytest.StashKey()
"""pytest's report of each phase."""
