"""A case that is meant for one version of a component is planned everywhere and runs with that version alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import Component, Outcome
from sdk_tests.integration import test_radical_pairs
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.local import LocalKind
from site_configs.schema import SchedulerSpec

(PAIR,) = test_radical_pairs.test_parsl_runs_its_apps_in_a_pilot_and_an_exception_arrives.exaworks_cases  # type: ignore[attr-defined]


def planned(case: Case, **versions: str) -> Any:
    kind = LocalKind(SchedulerSpec(kind="local"), {})
    found = {name.replace("_", "."): Component(name=name, version=version) for name, version in versions.items()}
    preparation: Any = SimpleNamespace(
        schedulers={"local": AvailableScheduler(kind, Probe("local", found=True))},
        absent={},
        contents=SimpleNamespace(components=found, absent={}),
        deployment=SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),
        release=None,
        system=SimpleNamespace(system="local/workstation", waivers=[]),
    )
    (cell,) = cells([case], preparation)
    return cell.judgement


@pytest.mark.parametrize("version", ["1.90.0", "1.90.2"])
def test_parsl_in_a_pilot_runs_with_the_radical_pilot_that_parsl_pins(version: str) -> None:
    assert planned(PAIR, parsl="2026.10.26", radical_pilot=version) is None


def test_with_another_version_the_case_is_a_skip_that_says_both() -> None:
    judgement = planned(PAIR, parsl="2026.10.26", radical_pilot="1.103.2")
    assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "other-version")
    assert judgement.cause.evidence == "meant for radical.pilot 1.90.*; it is 1.103.2 in deployment venv:here"


def test_an_absent_component_is_told_as_absent_whatever_version_is_meant() -> None:
    assert planned(PAIR, parsl="2026.10.26").cause.rule == "not-deployed"
