"""Which cases share a fixture: only those that can, and only if there are at least two of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import Tier
from sdk_tests import Fixture, Outcome, case
from sdk_tests.errors import CaseError
from sdk_tests.integration import test_applications, test_parsl, test_radical
from sdk_tests.model.case import PAYLOADS, Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.shared_fixtures import shared_fixtures
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.schema import Queue, SchedulerSpec

POOL = Fixture("pool", payload="parsl/_pool.py", walltime=600, jobs=1, cores=2)
ONE = Case(component="parsl", name="one", payload="parsl/diamond.py", fixture=POOL)
TWO = replace(ONE, name="two")


def prepared(*, command: tuple[str, ...] = (), inside: bool = False, longest: str | None = None) -> Any:
    """Return what is planned with: ``slurm`` and ``local``, and deployments with and without a label.

    command: what a deployment puts before each program. longest: the longest job that the queue of slurm admits.
    """
    queues = [Queue(name="debug", max_walltime=longest)]
    slurm = SchedulerSpec(kind="slurm", queues=queues, default_queue="debug")
    local = SchedulerSpec(kind="local")
    deployment = SimpleNamespace(wrap=lambda argv: [*command, *argv])
    entered = {"inside": SimpleNamespace(), "enter": ("srun",)} if inside else {}
    return SimpleNamespace(
        schedulers={
            "local": AvailableScheduler(kinds()["local"](local, {}), Probe("local", available=True)),
            "slurm": AvailableScheduler(kinds()["slurm"](slurm, {}), Probe("slurm", available=True), **entered),  # type: ignore[arg-type]
        },
        target=lambda label: SimpleNamespace(deployment=deployment),
        slowdown=1.0,
    )


def cell(given: Case, scheduler: str = "slurm", label: str = "") -> Cell:
    return Cell(given, scheduler, given.case_id(scheduler) + (f"/in:{label}" if label else ""), label=label)


def test_two_cases_share_and_a_single_one_does_not() -> None:
    cells = [cell(ONE), cell(TWO), cell(ONE, "local"), cell(replace(ONE, name="own", fixture=None))]
    name = "fixture pool@slurm"
    assert shared_fixtures(cells, prepared()) == {"parsl/one@slurm": name, "parsl/two@slurm": name}


def test_each_scheduler_node_count_and_deployment_has_its_own() -> None:
    several = [(scheduler, label, nodes) for scheduler in ("slurm", "local") for label in ("", "b") for nodes in (1, 2)]
    cells = [
        cell(replace(each, nodes=nodes), scheduler, label) for each in (ONE, TWO) for scheduler, label, nodes in several
    ]
    names = shared_fixtures(cells, prepared())
    assert len(names) == len(cells)
    assert len(set(names.values())) == len(several)
    assert names["parsl/one@local/2n/in:b"] == "fixture pool@local/2n/in:b"


def test_different_fixtures_of_one_name_are_not_shared() -> None:
    other = replace(POOL, params={"workers": 3})
    cells = [cell(ONE), cell(TWO), *(cell(replace(ONE, name=name, fixture=other)) for name in ("three", "four"))]
    names = shared_fixtures(cells, prepared())
    assert names["parsl/one@slurm"] == names["parsl/two@slurm"] == "fixture pool@slurm"
    assert names["parsl/three@slurm"] == names["parsl/four@slurm"] == "fixture pool:2@slurm"


def test_containers_are_not_shared() -> None:
    assert shared_fixtures([cell(ONE), cell(TWO)], prepared(command=("podman", "run"))) == {}


def test_what_enters_an_allocation_by_itself_is_not_shared() -> None:
    assert shared_fixtures([cell(ONE), cell(TWO)], prepared(inside=True)) == {}


@pytest.mark.parametrize(("longest", "shares"), [("00:05:00", False), ("00:10:00", True), (None, True)])
def test_a_fixture_whose_job_is_too_long_for_the_queue_is_not_shared(longest: str | None, shares: bool) -> None:
    cells = [cell(replace(each, where="login", jobs=1)) for each in (ONE, TWO)]
    assert bool(shared_fixtures(cells, prepared(longest=longest))) == shares


def declared(**given: Any) -> Case:
    @case(**{"payload": "parsl/diamond.py", "component": "parsl", "fixture": POOL, **given})
    def judge(outcome: Outcome) -> None: ...

    (only,) = judge.exaworks_cases  # type: ignore[attr-defined]
    assert isinstance(only, Case)
    return only


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"where": "job"}, "`where` login or allocation"),
        ({"answer": False}, "Python payloads with an answer"),
        ({"payload": "swift/hello.swift"}, "Python payloads with an answer"),
        ({"jobs": 2}, "uses 2 jobs and 1 cores, its fixture pool only 1 and 2; raise `jobs` or `cores`"),
        ({"cores": 3}, "uses 0 jobs and 3 cores"),
        ({"walltime": 541}, "raise `walltime` of the fixture above 601"),
        ({"fixture": replace(POOL, name="a pool")}, "must not contain"),
        ({"fixture": replace(POOL, payload="no/such.py")}, "fixture pool: there is no payload 'no/such.py'"),
    ],
)
def test_a_case_that_cannot_share_its_fixture_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(CaseError) as caught:
        declared(**given)
    assert problem in caught.value.format_message()


def test_the_program_of_a_fixture_is_found_as_payloads_are() -> None:
    packaged = declared().fixture
    assert packaged is not None
    assert packaged.payload_file is None
    beside = declared(fixture=replace(POOL, payload="test_needs_of_cases.py")).fixture
    assert beside is not None
    assert beside.payload_file is not None
    assert beside.payload_file.name == "test_needs_of_cases.py"


def test_what_starts_a_pilot_or_a_pool_is_tested_by_a_case_without_a_fixture() -> None:
    """Otherwise the start would be judged by nobody, if at least two cases share it."""
    modules = (test_radical, test_parsl, test_applications)
    cases = [each for module in modules for name in vars(module) for each in _cases(getattr(module, name))]
    for component in {each.component for each in cases if each.fixture}:
        alone = [each for each in cases if each.component == component and not each.partners and each.fixture is None]
        usual = [each for each in alone if each.tier is not Tier.SCALE]
        assert {"local", "slurm", "pbs"} <= {name for each in usual for name in _schedulers(each)}
    assert all((PAYLOADS / each.fixture.payload).is_file() for each in cases if each.fixture is not None)


def _cases(value: object) -> tuple[Case, ...]:
    return getattr(value, "exaworks_cases", ())


def _schedulers(given: Case) -> tuple[str, ...]:
    return ("local", "slurm", "pbs") if given.schedulers == ("*",) else given.schedulers
