"""For every room's tests: what they need of the machine is there, or they skip or fail by name (``tests/needs.py``)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import NEEDS, need, required

# How long an example takes depends on what else the machine does; it is no property of the code.
settings.register_profile("selftest", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("selftest")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also what takes minutes: images, every fault")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes unless it is asked for; pytest's closing line counts it as deselected.

    Files with slow tests come first: where files run beside each other, none of those is left over alone at the end.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    if config.getoption("--long"):
        return
    left = [item for item in items if item.get_closest_marker("long")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_configure(config: pytest.Config) -> None:
    unknown = required() - NEEDS.keys()
    if unknown:
        raise pytest.UsageError(
            f"EXAWORKS_REQUIRE names {', '.join(sorted(unknown))}; tests/needs.py knows {', '.join(sorted(NEEDS))}"
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        need(*marker.args)
