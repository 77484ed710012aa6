"""Each site file leads to the plan that was looked at when it was last changed."""

from __future__ import annotations

import difflib

import pytest

from site_configs.load import systems
from site_configs.schema import System
from tests.sdk_tests.rehearsal import plans


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.system)
def test_a_sites_plan_is_the_one_that_was_looked_at(system: System) -> None:
    place = plans.place(system)
    before = place.read_text(encoding="utf-8") if place.exists() else ""
    lines = (before.splitlines(), plans.text(system).splitlines(), place.name, "now")
    change = "\n".join(difflib.unified_diff(*lines, lineterm=""))
    assert not change, f"the plan changed; if that is meant, renew it: {plans.RENEW} {system.system}\n{change}"


def test_every_plan_is_of_a_system_there_is() -> None:
    assert {plans.place(system) for system in systems()} == set(plans.GOLDEN.iterdir())
