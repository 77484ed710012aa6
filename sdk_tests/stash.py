"""What the harness keeps on pytest's items, where the plugin, the loop and the front ends find it."""

from __future__ import annotations

import pytest

from sdk_tests.landing import Outcome, Preset
from sdk_tests.plan import Cell

CELL = pytest.StashKey[Cell]()
LANDED = pytest.StashKey[tuple[Preset | None, Outcome | None]]()
RAISED: pytest.StashKey[dict[str, type[BaseException]]] = pytest.StashKey()
REPORTS: pytest.StashKey[dict[str, pytest.TestReport]] = pytest.StashKey()
