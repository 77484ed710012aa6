"""A case that needs a certain version of a component is planned everywhere, and skipped with other versions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import Component, Outcome
from sdk_tests.integration import test_radical_pairs
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.plan.target import Target
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.local import LocalKind
from site_configs.schema import SchedulerSpec

(PAIR,) = test_radical_pairs.test_parsl_runs_its_apps_in_a_pilot_and_reports_an_exception.exaworks_cases  # type: ignore[attr-defined]


def planned(case: Case, **versions: str) -> Any:
    kind = LocalKind(SchedulerSpec(kind="local"), {})
    deployed = {name.replace("_", "."): Component(name=name, version=version) for name, version in versions.items()}
    preparation: Any = SimpleNamespace(
        schedulers={"local": AvailableScheduler(kind, Probe("local", available=True))},
        absent={},
        targets=[
            Target(
                "",
                SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),  # type: ignore[arg-type]
                SimpleNamespace(components=deployed, absent={}),  # type: ignore[arg-type]
            )
        ],
        system=SimpleNamespace(system="local/workstation", waivers=[]),
    )
    (cell,) = cells([case], preparation)
    return cell.judgement


@pytest.mark.parametrize("version", ["1.90.0", "1.90.2"])
def test_parsl_in_a_pilot_runs_with_the_version_of_radical_pilot_that_parsl_pins(version: str) -> None:
    assert planned(PAIR, parsl="2026.10.26", radical_pilot=version) is None


def test_with_another_version_the_case_is_skipped_and_the_reason_names_both_versions() -> None:
    judgement = planned(PAIR, parsl="2026.10.26", radical_pilot="1.103.2")
    assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "other-version")
    assert judgement.cause.evidence == "needs radical.pilot 1.90.*; deployment venv:here has radical.pilot 1.103.2"


def test_a_missing_component_is_reported_as_missing_whatever_version_the_case_needs() -> None:
    assert planned(PAIR, parsl="2026.10.26").cause.rule == "not-deployed"
