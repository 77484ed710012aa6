"""``validate --list`` shows the plan, and beside it what is not planned or does not exist, each with its reason."""

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


def preparation(*kinds: str, **chosen: Any) -> Any:
    """A system with a scheduler of each kind, and what was selected of it."""
    ready = {name: SimpleNamespace(kind=SimpleNamespace(kind=name)) for name in kinds}
    return SimpleNamespace(schedulers=ready, absent={}, options=SimpleNamespace(selection=Selection(**chosen)))


def beside(*kinds: str, **chosen: Any) -> dict[str, str]:
    """What stands beside the plan, by case."""
    return {row["case"]: row["verdict"] for row in listing.rows([], preparation(*kinds, **chosen))}


def test_all_that_does_not_exist_is_listed_with_its_reason_and_its_upstream() -> None:
    found = {row["case"]: row for row in listing.rows([], preparation("local", "flux", "slurm"))}
    for each in NOT_THERE:
        row = found[each.case]
        assert row["verdict"] == listing.DOES_NOT_EXIST
        assert each.why in row["reason"]
        assert row["reference"] == each.reference
        assert f"{each.why} ({each.reference})" in listing.table([row])


def test_each_empty_cell_of_the_matrix_is_listed_as_not_planned() -> None:
    kinds = matrix.schedulers()
    found = beside(*kinds)
    empty = {f"{family}/*@{kind}" for each in UNPLANNED for family in each.families for kind in each.schedulers}
    assert empty == {case for case, verdict in found.items() if verdict == listing.NOT_PLANNED}
    assert why_not("maestro", "pbs") == ["Maestro 1.2 has adapters for Slurm, LSF and Flux alone"]


def test_only_schedulers_of_this_system_are_spoken_of() -> None:
    assert set(beside("local")) == {"psij/staging", "parsl+psij/provider", "radical.pilot+psij/*@local"}


def test_a_scheduler_that_is_meant_to_be_here_and_is_absent_counts() -> None:
    lacking = preparation("local")
    lacking.absent = {"flux": "flux: not on PATH", "slurm+flux": "flux is started inside slurm"}
    found = {row["case"] for row in listing.rows([], lacking)}
    assert {"swift-t/submit@flux", "radical.pilot/*@flux", "radical.pilot/*@slurm+flux"} <= found


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        ({"components": ["parsl"], "schedulers": ["flux"]}, {"parsl+psij/provider", "parsl+radical.pilot/*@flux"}),
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
def test_a_selection_takes_in_what_is_about_it_and_nothing_else(chosen: dict[str, Any], seen: set[str]) -> None:
    assert set(beside("local", "flux", "slurm", **chosen)) == seen


def test_a_row_of_the_plan_says_what_happens() -> None:
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
    chosen = ["--deployment", f"venv:{sys.prefix}", "--component", "psij"]
    environ = {**os.environ, "EXAWORKS_HOME": str(tmp_path / "home")}
    done = subprocess.run([*command, *chosen], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {row["case"]: row for row in json.loads(done.stdout)}
    assert found["psij/hello@local"]["tier"] == "smoke"
    assert found["parsl+psij/provider"]["verdict"] == listing.DOES_NOT_EXIST
    assert found["parsl+psij/provider"]["reference"] == "https://github.com/ExaWorks/psi-j-parsl"
    assert not (tmp_path / "home" / "runs").exists()
