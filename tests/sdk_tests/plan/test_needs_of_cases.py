"""What a case needs is declared with it; without it the case is skipped, or fails if the site file promises it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import CauseClass, Component, Outcome, Phase
from sdk_tests.deployments.path import resolve
from sdk_tests.errors import PlanError
from sdk_tests.model.case import EVERY, Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import cells
from sdk_tests.plan.matrix import rows
from sdk_tests.plan.needs import NEEDS, programs
from sdk_tests.plan.probe import probe
from sdk_tests.plan.target import Target
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.schema import Launcher, SchedulerSpec

PACKAGED = [row.case for row in rows()]
NODES = ("a", "b")
OR_NAME_IT = ", or name the machine's launcher under launchers: in the site file"


def available(kind: str, *launchers: str, path: str = "", **more: Any) -> AvailableScheduler:
    spec = SchedulerSpec(kind=kind, launchers=[Launcher(name=name) for name in launchers], max_jobs=9)
    return AvailableScheduler(kinds()[kind](spec, {"PATH": path}), Probe(kind, available=True, nodes=NODES), **more)


def planned(case: Case, scheduler: AvailableScheduler, *installed: str) -> Any:
    """Return the verdict of a case before the run. installed: the programs on PATH of the deployment."""
    deployed = {name: Component(name=name, version="1") for name in (case.component, *case.partners)}
    preparation: Any = SimpleNamespace(
        schedulers={scheduler.kind.kind: scheduler},
        absent={},
        targets=[
            Target(
                "",
                SimpleNamespace(promises={}, name="venv:here", unable=lambda where, batch: None),  # type: ignore[arg-type]
                SimpleNamespace(
                    components=deployed, absent={}, programs={name: f"/usr/bin/{name}" for name in installed}
                ),  # type: ignore[arg-type]
            )
        ],
        system=SimpleNamespace(system="lab/box", waivers=[]),
    )
    (cell,) = cells([case], preparation)
    return cell.judgement


def needing(*needs: str) -> Case:
    return Case(component="parsl", name="ranks", payload="parsl/mpi.py", needs=needs)


@pytest.mark.parametrize(
    ("kind", "named", "need", "installed"),
    [
        ("local", (), "mpi-launcher", ("mpiexec",)),
        ("local", (), "mpi-launcher", ("mpirun",)),
        ("slurm", (), "mpi-launcher", ("srun",)),
        ("slurm", ("srun",), "mpi-launcher", ("srun",)),
        ("lsf", (), "mpi-launcher", ("jsrun",)),
        ("cobalt", (), "mpi-launcher", ("aprun",)),
        ("pbs", ("/opt/pals/mpiexec",), "mpi-launcher", ("/opt/pals/mpiexec",)),
        ("pbs", (), "mpi-launcher", ("mpiexec",)),
        ("pbs", ("/opt/pals/mpiexec",), "mpiexec", ("/opt/pals/mpiexec",)),
        ("slurm", ("srun",), "mpirun", ("mpirun",)),
        ("slurm", (), "srun", ("srun",)),
    ],
)
def test_a_case_whose_need_is_present_runs(
    kind: str, named: tuple[str, ...], need: str, installed: tuple[str, ...]
) -> None:
    assert planned(needing(need), available(kind, *named), *installed) is None


@pytest.mark.parametrize(
    ("kind", "named", "need", "installed", "missing", "install"),
    [
        ("local", (), "mpi-launcher", (), "no MPI launcher (mpiexec, mpirun)", "mpich or openmpi"),
        ("local", (), "mpi-launcher", ("srun", "flux"), "no MPI launcher (mpiexec, mpirun)", "mpich or openmpi"),
        (
            "slurm",
            (),
            "mpi-launcher",
            ("flux",),
            "no MPI launcher (srun, mpiexec, mpirun)",
            f"mpich or openmpi{OR_NAME_IT}",
        ),
        ("local", (), "mpirun", ("mpiexec",), "no mpirun", "mpich or openmpi"),
        ("slurm", ("srun",), "mpirun", ("srun",), "no mpirun", "mpich or openmpi"),
        ("pbs", (), "mpiexec", ("mpirun",), "no mpiexec", "mpich or openmpi"),
        ("slurm", (), "srun", ("mpiexec",), "no srun", "Slurm's client commands"),
    ],
)
def test_a_case_whose_need_is_absent_is_skipped_with_what_to_install(
    kind: str, named: tuple[str, ...], need: str, installed: tuple[str, ...], missing: str, install: str
) -> None:
    judgement = planned(needing(need), available(kind, *named), *installed)
    cause = judgement.cause
    assert (judgement.outcome, cause.cls, cause.phase, cause.rule) == (
        Outcome.SKIP,
        CauseClass.SITE,
        Phase.PLAN,
        "need-absent",
    )
    assert cause.evidence == f"{missing} on PATH of deployment venv:here: install {install}"


@pytest.mark.parametrize(
    ("kind", "named", "need", "installed", "missing"),
    [
        ("slurm", ("srun",), "mpi-launcher", (), "srun"),
        ("slurm", ("srun", "mpiexec"), "mpi-launcher", ("mpiexec",), "srun"),  # payloads use the first one
        ("pbs", ("/opt/pals/mpiexec",), "mpi-launcher", ("mpiexec",), "/opt/pals/mpiexec"),
        ("pbs", ("/opt/pals/mpiexec",), "mpiexec", (), "/opt/pals/mpiexec"),
        ("slurm", ("mpiexec", "srun"), "srun", ("mpiexec",), "srun"),
    ],
)
def test_a_case_whose_launcher_is_named_by_the_site_file_and_absent_fails(
    kind: str, named: tuple[str, ...], need: str, installed: tuple[str, ...], missing: str
) -> None:
    judgement = planned(needing(need), available(kind, *named), *installed)
    cause = judgement.cause
    assert (judgement.outcome, cause.cls, cause.phase, cause.rule) == (
        Outcome.FAIL,
        CauseClass.SITE,
        Phase.PROBE,
        "promised-need-absent",
    )
    assert cause.evidence == (
        f"no `{missing}` on PATH of deployment venv:here, although the site file names it under launchers: of {kind}: "
        "install it, load its module in the deployment, or correct the site file"
    )


@pytest.mark.parametrize(("cores", "skipped"), [({"a": 1, "b": 1}, True), ({"a": 1, "b": 2}, False), ({}, False)])
def test_a_case_that_needs_several_cores_is_skipped_on_nodes_with_one(cores: dict[str, int], skipped: bool) -> None:
    scheduler = available("slurm")
    probed = replace(scheduler.probe, details={"cores": cores})
    judgement = planned(needing("several-cores"), replace(scheduler, probe=probed))
    assert (judgement is not None) == skipped
    if judgement is not None:
        assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "need-absent")
        assert "slurm has 1" in judgement.cause.evidence


def test_a_scheduler_that_reports_no_cores_may_have_enough() -> None:
    assert planned(needing("several-cores"), available("lsf")) is None


def test_several_cores_on_this_machine_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert planned(needing("several-cores"), available("local")).cause.evidence.startswith("needs 2 cores on a node")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert planned(needing("several-cores"), available("local")) is None


@pytest.mark.parametrize(
    ("need", "installed", "install"), [("compiler", "clang", "gcc or clang"), ("fuse", "fusermount3", "fuse3")]
)
def test_a_program_that_cases_of_ones_own_need(need: str, installed: str, install: str) -> None:
    assert planned(needing(need), available("local"), installed) is None
    assert f"install {install}" in planned(needing(need), available("local")).cause.evidence


def test_the_launcher_of_a_testbed_is_no_promise_of_the_site_file() -> None:
    judgement = planned(needing("mpi-launcher"), available("slurm", "srun", testbed="slurm-1"), "mpiexec")
    assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "need-absent")
    assert judgement.cause.evidence == (
        "no MPI launcher (srun) on PATH of deployment venv:here: install mpich or openmpi"
    )


def test_a_nested_scheduler_has_the_launchers_of_its_modules(tmp_path: Any) -> None:
    (tmp_path / "mpirun").write_text("#!/bin/sh\n")
    (tmp_path / "mpirun").chmod(0o755)
    inner = available("flux", path=str(tmp_path), outer=available("slurm"))
    assert planned(needing("mpirun"), inner) is None
    assert planned(needing("mpiexec"), inner).cause.rule == "need-absent"


def test_every_need_is_checked() -> None:
    judgement = planned(needing("mpirun", "srun"), available("slurm"), "mpirun")
    assert judgement.cause.evidence.startswith("no srun on PATH")


def test_a_missing_component_is_reported_before_a_missing_need() -> None:
    case = needing("mpi-launcher")
    scheduler = available("local")
    assert planned(case, scheduler).cause.rule == "need-absent"
    preparation: Any = SimpleNamespace(
        schedulers={"local": scheduler},
        absent={},
        targets=[
            Target(
                "",
                SimpleNamespace(promises={}, name="venv:here"),  # type: ignore[arg-type]
                SimpleNamespace(components={}, absent={"parsl": "no distribution 'parsl'"}, programs={}),  # type: ignore[arg-type]
            )
        ],
        system=SimpleNamespace(system="lab/box", waivers=[]),
    )
    (cell,) = cells([case], preparation)
    assert cell.judgement is not None
    assert cell.judgement.cause.rule == "not-deployed"


def test_an_unknown_need_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PlanError) as caught:
        planned(needing("mpi"), available("local"))
    message = caught.value.format_message()
    assert "case parsl/ranks@local: unknown need 'mpi'" in message
    assert all(name in message for name in NEEDS)


def test_every_need_of_a_packaged_case_is_known() -> None:
    for_own_cases = {"compiler", "java", "fuse", "several-cores"}
    assert {name for case in PACKAGED for name in case.needs} == set(NEEDS) - for_own_cases


PAIRS = [
    (kind, case)
    for case in PACKAGED
    for kind in sorted(kinds())
    if case.needs and (case.schedulers == EVERY or kind in case.schedulers)
]


@pytest.mark.parametrize(("kind", "case"), PAIRS, ids=[case.case_id(kind) for kind, case in PAIRS])
def test_a_packaged_case_with_a_need_is_skipped_where_nothing_is_installed(kind: str, case: Case) -> None:
    judgement = planned(case, available(kind))
    assert (judgement.outcome, judgement.cause.rule) == (Outcome.SKIP, "need-absent")


def test_the_probe_looks_for_the_programs_of_all_needs_and_the_launchers_of_the_site_file(tmp_path: Any) -> None:
    for name in ("mpirun", "site-launcher", "unrelated"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    deployment = resolve("", {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)})
    present = probe(deployment, {}, programs([available("pbs", "site-launcher", "absent-launcher")])).programs
    assert present["mpirun"].endswith("/mpirun")
    assert present["site-launcher"] == str(tmp_path / "site-launcher")
    assert not {"unrelated", "absent-launcher"} & set(present)
