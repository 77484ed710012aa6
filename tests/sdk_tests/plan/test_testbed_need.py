"""A testbed is started only if a selected case needs it."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard_client.schema import Selection, Tier
from sdk_tests.model.case import Case
from sdk_tests.plan.options import Options
from sdk_tests.plan.testbed_need import needed_testbeds
from site_configs.load import load_text

SITE = """
system: test/box
description: A machine for tests
local: {allowed: true}
testbeds: [slurm, flux, pbs-emulated]
"""


def case(component: str, name: str, *schedulers: str, tier: str = "smoke", nodes: int = 1, partners: Any = ()) -> Case:
    return Case(
        component=component,
        name=name,
        payload="x.py",
        schedulers=schedulers or ("*",),
        tier=Tier(tier),
        nodes=nodes,
        partners=partners,
    )


CASES = (
    case("control", "hello"),
    case("psij", "hello"),
    case("psij", "ring", "slurm", "flux", tier="integration", nodes=2),
    case("parsl", "threads", "local"),
    case("parsl", "htex", "slurm", tier="integration"),
    case("radical.pilot", "hello", "local", "slurm", partners=("psij",)),
    case("flux", "instance", "flux"),
)


def needed(**selection: Any) -> set[str]:
    system = load_text(SITE, "test")
    return needed_testbeds(system, Options(selection=Selection(**selection), declared=CASES))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, {"slurm", "flux", "pbs-emulated"}),
        ({"tier": Tier.SMOKE}, {"slurm", "flux", "pbs-emulated"}),
        ({"cases": ["*@local"]}, set()),
        ({"cases": ["psij/hello@local", "parsl/*@local"]}, set()),
        ({"cases": ["psij/hello@*l"]}, set()),
        ({"cases": ["psij/hello@local", "parsl/htex"]}, {"slurm"}),
        ({"cases": ["parsl/*"]}, {"slurm"}),
        ({"cases": ["parsl/*"], "tier": Tier.SMOKE}, set()),
        ({"cases": ["parsl/threads"]}, set()),
        ({"cases": ["psij/[!h]*"]}, {"slurm", "flux"}),
        ({"cases": ["psij/ring"], "nodes": 1}, set()),
        ({"cases": ["*@pbs*"]}, {"pbs-emulated"}),
        ({"components": ["flux"]}, {"flux"}),
        ({"components": ["parsl"], "tier": Tier.SMOKE}, set()),
        ({"components": ["radical.pilot"]}, {"slurm"}),
        ({"components": ["psij"]}, {"slurm", "flux", "pbs-emulated"}),
        ({"schedulers": ["local"]}, set()),
        ({"schedulers": ["local", "flux"], "cases": ["psij/hello"]}, {"flux"}),
        ({"cases": ["control/hello@local"]}, set()),
        ({"cases": ["control/hello@slurm"]}, {"slurm"}),
        ({"components": ["control"]}, {"slurm", "flux", "pbs-emulated"}),
        ({"cases": ["no/such@slurm"]}, set()),
    ],
)
def test_only_the_testbeds_of_selected_cases_are_needed(selection: dict[str, Any], expected: set[str]) -> None:
    selection = {"tier": Tier.INTEGRATION, **selection}
    assert needed(**selection) == expected


def test_while_the_cases_are_unknown_every_testbed_is_needed() -> None:
    system = load_text(SITE, "test")
    assert needed_testbeds(system, Options(selection=Selection(cases=["*@local"]))) == set(system.testbeds)
