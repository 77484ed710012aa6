"""What the harness keeps on pytest's items, where the plugin, the loop and the front ends find it."""

from __future__ import annotations

import pytest

from sdk_tests.model.attempt import Judgement, Outcome
from sdk_tests.plan.cells import Cell

CELL = pytest.StashKey[Cell]()
ANSWERED = pytest.StashKey[tuple[Judgement | None, Outcome | None]]()
RAISED: pytest.StashKey[dict[str, type[BaseException]]] = pytest.StashKey()
REPORTS: pytest.StashKey[dict[str, pytest.TestReport]] = pytest.StashKey()
