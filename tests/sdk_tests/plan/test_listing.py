"""``validate --list`` shows the plan, and the combinations that are not planned or do not exist, with reasons."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase, Selection
from sdk_tests.integration.pairs import NOT_THERE, UNPLANNED, why_not
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan import listing, matrix
from sdk_tests.plan.cells import Cell

HELLO = Case(component="psij", name="hello", payload="psij/hello.py")


def preparation(*kinds: str, **selection: Any) -> Any:
    """Return a preparation of a system that has a scheduler of each kind."""
    schedulers = {name: SimpleNamespace(kind=SimpleNamespace(kind=name)) for name in kinds}
    return SimpleNamespace(schedulers=schedulers, absent={}, options=SimpleNamespace(selection=Selection(**selection)))


def not_in_plan(*kinds: str, **selection: Any) -> dict[str, str]:
    """Return the verdicts of the rows that are not cases of the plan, by case."""
    return {row["case"]: row["verdict"] for row in listing.rows([], preparation(*kinds, **selection))}


def test_every_combination_that_does_not_exist_is_listed_with_reason_and_upstream_reference() -> None:
    by_case = {row["case"]: row for row in listing.rows([], preparation("local", "flux", "slurm"))}
    for each in NOT_THERE:
        row = by_case[each.case]
        assert row["verdict"] == listing.DOES_NOT_EXIST
        assert each.why in row["reason"]
        assert row["reference"] == each.reference
        assert f"{each.why} ({each.reference})" in listing.table([row])


def test_each_empty_cell_of_the_matrix_is_listed_as_not_planned() -> None:
    kinds = matrix.schedulers()
    verdicts = not_in_plan(*kinds)
    empty = {f"{family}/*@{kind}" for each in UNPLANNED for family in each.families for kind in each.schedulers}
    assert empty == {case for case, verdict in verdicts.items() if verdict == listing.NOT_PLANNED}
    assert why_not("maestro", "pbs") == ["Maestro 1.2 has adapters only for Slurm, LSF and Flux"]


def test_only_combinations_with_schedulers_of_this_system_are_listed() -> None:
    assert set(not_in_plan("local")) == {"psij/staging", "parsl+psij/provider", "radical.pilot+psij/*@local"}


def test_combinations_with_an_absent_scheduler_of_this_system_are_listed() -> None:
    without_flux = preparation("local")
    without_flux.absent = {"flux": "flux: not on PATH", "slurm+flux": "flux is started inside slurm"}
    listed = {row["case"] for row in listing.rows([], without_flux)}
    assert {"swift-t/submit@flux", "radical.pilot/*@flux", "radical.pilot/*@slurm+flux"} <= listed


@pytest.mark.parametrize(
    ("selection", "listed"),
    [
        (
            {"components": ["parsl"], "schedulers": ["flux"]},
            {"globus-compute+parsl/*@flux", "parsl+psij/provider", "parsl+radical.pilot/*@flux"},
        ),
        ({"components": ["maestro"]}, set()),
        ({"components": ["swift-t"], "schedulers": ["slurm"]}, set()),
        ({"components": ["swift-t"]}, {"swift-t/submit@flux", "swift-t+psij/*@flux", "swift-t+psij/submit@flux"}),
        ({"cases": ["psij/*"]}, {"psij/staging"}),
        ({"cases": ["psij/hello"]}, set()),
        ({"cases": ["radical.pilot/pilot@flux"]}, {"radical.pilot/*@flux"}),
        ({"cases": ["radical.pilot/pilot@slurm"]}, set()),
        ({"cases": ["parsl+psij*"]}, {"parsl+psij/provider"}),
    ],
)  # fmt: skip
def test_a_selection_lists_only_the_combinations_that_it_includes(selection: dict[str, Any], listed: set[str]) -> None:
    assert set(not_in_plan("local", "flux", "slurm", **selection)) == listed


def test_a_row_of_the_plan_shows_whether_the_case_runs() -> None:
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule="scheduler-absent", evidence="no slurmctld")
    cells = [
        Cell(HELLO, "local", "psij/hello@local"),
        Cell(HELLO, "slurm", "psij/hello@slurm", Judgement(Outcome.SKIP, cause)),
    ]
    run, skip = listing.rows(cells, preparation("local", cases=["psij/hello"]))
    assert (run["case"], run["tier"], run["verdict"], run["reference"]) == (
        "psij/hello@local",
        "integration",
        None,
        None,
    )
    assert listing.table([run]).endswith("run")
    assert listing.table([skip]).endswith("skip: no slurmctld")


def test_the_command_lists_what_does_not_exist_and_runs_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("system: test/box\ndescription: A machine for tests\nlocal: {allowed: true}\n")
    command = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--list", "--json", "--site-file", str(site)]
    options = ["--deployment", f"venv:{sys.prefix}", "--component", "psij"]
    environ = {**os.environ, "EXAWORKS_HOME": str(tmp_path / "home")}
    done = subprocess.run([*command, *options], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    by_case = {row["case"]: row for row in json.loads(done.stdout)}
    assert by_case["psij/hello@local"]["tier"] == "smoke"
    assert by_case["parsl+psij/provider"]["verdict"] == listing.DOES_NOT_EXIST
    assert by_case["parsl+psij/provider"]["reference"] == "https://github.com/ExaWorks/psi-j-parsl"
    assert not (tmp_path / "home" / "runs").exists()
