"""For every room's tests: what they need of the machine is there, or they skip or fail by name (``tests/needs.py``)."""

from __future__ import annotations

import pytest

from tests.needs import NEEDS, need, required


def pytest_configure(config: pytest.Config) -> None:
    unknown = required() - NEEDS.keys()
    if unknown:
        raise pytest.UsageError(
            f"EXAWORKS_REQUIRE names {', '.join(sorted(unknown))}; tests/needs.py knows {', '.join(sorted(NEEDS))}"
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        need(*marker.args)
