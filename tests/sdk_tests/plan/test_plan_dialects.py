"""A case whose component cannot submit jobs to this LSF is skipped, and the reason names the dialect."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import CauseClass, Component, Outcome
from sdk_tests.integration import test_flux, test_parsl, test_psij
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.plan.target import Target
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.lsf import LsfKind
from site_configs.schema import SchedulerSpec
from site_configs.values import Dialect


def cases(module: Any, family: str, name: str) -> Case:
    every: list[Case] = [case for value in vars(module).values() for case in getattr(value, "exaworks_cases", ())]
    return next(case for case in every if case.case_id("lsf").startswith(f"{family}/{name}"))


def planned(case: Case, dialect: Dialect) -> Any:
    kind = LsfKind(SchedulerSpec(kind="lsf", dialect=dialect, max_jobs=9), {})
    names = ("psij", "parsl", "flux")
    preparation: Any = SimpleNamespace(
        schedulers={"lsf": AvailableScheduler(kind, Probe("lsf", available=True))},
        absent={},
        targets=[
            Target(
                "",
                SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),  # type: ignore[arg-type]
                SimpleNamespace(components={name: Component(name=name, version="1") for name in names}, absent={}),  # type: ignore[arg-type]
            )
        ],
        system=SimpleNamespace(system="lab/box", waivers=[]),
    )
    (cell,) = cells([case], preparation)
    return cell.judgement


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [
        (Dialect.CLASSIC, "only with `bjobs -json`, which this LSF does not have (dialect: classic)"),
        (Dialect.SLOTS, "requests nodes with `#BSUB -nnodes`, which only an LSF with IBM's Cluster System Manager has"),
    ],
)
def test_psij_is_skipped_where_lsf_lacks_what_it_uses_and_the_reason_is_a_limit_of_psij(
    dialect: Dialect, reason: str
) -> None:
    hello = cases(test_psij, "psij", "hello")
    judgement = planned(hello, dialect)
    assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "other-dialect")
    assert judgement.cause.cls is CauseClass.COMPONENT
    assert reason in judgement.cause.evidence
    assert planned(hello, Dialect.CSM) is None


@pytest.mark.parametrize(
    "case",
    [
        cases(test_psij, "psij", "launcher"),
        cases(test_flux, "psij+flux", "jobs"),
        cases(test_parsl, "parsl", "htex"),
    ],
    ids=lambda case: case.case_id("lsf"),
)
def test_cases_that_do_not_submit_to_lsf_through_psij_are_planned(case: Case) -> None:
    assert planned(case, Dialect.CLASSIC) is None
