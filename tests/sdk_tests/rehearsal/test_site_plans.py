"""Tests that each site file leads to the plan in its golden file, which was reviewed when it last changed."""

from __future__ import annotations

import difflib

import pytest

from site_configs.load import systems
from site_configs.schema import System
from tests.sdk_tests.rehearsal import plans


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.system)
def test_a_sites_plan_is_the_reviewed_one(system: System) -> None:
    path = plans.golden_file(system)
    reviewed = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = (reviewed.splitlines(), plans.text(system).splitlines(), path.name, "now")
    change = "\n".join(difflib.unified_diff(*lines, lineterm=""))
    assert not change, f"the plan changed; if this is intended, run {plans.UPDATE} {system.system}\n{change}"


def test_every_golden_file_belongs_to_a_system() -> None:
    assert {plans.golden_file(system) for system in systems()} == set(plans.GOLDEN.iterdir())
