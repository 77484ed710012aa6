"""The first run on a bare machine: at most 60 lines in all, from the creation of the environments to the verdict.

The plan is the real one of this machine with its schedulers and launchers hidden. The records are those of a run in
which every case passes after a time that is typical of its component.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.model.attempt import Judgement
from sdk_tests.report import Progress, screen
from tests.exaworks_sdk.conftest import Checkout, small_checkout
from tests.needs import need, program
from tests.sdk_tests.report.examples import effective, manifest, record

pytestmark = [pytest.mark.slow, pytest.mark.needs("components")]

MOST = 60
"""Lines of the whole output."""

HIDDEN = ("flux", "swift-t", "turbine", "srun", "mpiexec", "mpirun", "slurmctld", "slurmd", "munged", "sinfo")
SECONDS = {"parsl": 25, "radical.pilot": 45, "radical.entk": 60}
"""Seconds between the ends of two cases of a component, on a slow machine; 1 for any other."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def bare_path(folder: Path) -> str:
    """Return a PATH with the programs of this machine except schedulers and launchers."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for file in sorted(Path(place).iterdir()) if Path(place).is_dir() else []:
            hidden = file.name in HIDDEN or file.name.startswith(("mpi", "flux-", "slurm"))
            if not hidden and not (folder / file.name).is_symlink():
                (folder / file.name).symlink_to(file)
    return str(folder)


@pytest.fixture
def planned(tmp_path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the plan on the bare machine, and the number of lines that were printed before it."""
    components = Path(str(need("components")))
    home = tmp_path / "home"
    (home / "deployments").mkdir(parents=True)
    subprocess.run(["cp", "-al", str(components), str(home / "deployments" / components.name)], check=True)
    command = [
        sys.executable,
        "-I",
        "-m",
        "exaworks_sdk",
        "validate",
        "--site",
        "local/workstation",
        "--list",
        "--json",
    ]
    controller = program("slurmctld")
    if controller is not None:
        if os.geteuid() != 0:
            pytest.skip("hiding an installed Slurm needs root")
        hide = f'mount --bind /dev/null {controller} && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", hide, "sh", *command]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV", "PBS_"))}
    environ = {**kept, "PATH": bare_path(tmp_path / "bin"), "EXAWORKS_HOME": str(home)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    shutil.rmtree(home)
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout) if row["verdict"] not in ("not planned", "does not exist")]
    return rows, len(done.stderr.splitlines())


def judgement(row: dict[str, Any]) -> Judgement:
    absent = "not on PATH" in row["reason"] and not row["reason"].startswith("no ")
    rule = "scheduler-absent" if absent else "need-absent" if ": install" in row["reason"] else "not-deployed"
    cause = Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule=rule, evidence=row["reason"])
    return Judgement(Outcome.SKIP, cause)


def test_the_whole_output_of_a_first_run_on_a_bare_machine_is_short(
    planned: tuple[list[dict[str, Any]], int], tmp_path: Path
) -> None:
    first = small_checkout(tmp_path)
    of_set_up = _lines_of_set_up(first)
    rows, before = planned
    prejudged = {row["case"]: judgement(row) for row in rows if row["verdict"]}
    ids = [row["case"] for row in rows]
    assert len(prejudged) > 100, "this machine is not bare"
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    progress.planned(manifest(ids), prejudged)
    records = []
    for number, row in enumerate(sorted(rows, key=lambda row: not row["verdict"]), 1):
        each = row["case"]
        if each in prejudged:
            records.append(record(each, "skip", cause=prejudged[each].cause))
        else:
            progress.event(each, "started")
            for _ in range(SECONDS.get(each.partition("/")[0].partition("+")[0], 1)):
                clock.now += 1
                progress.tick(clock.now)
            records.append(record(each))
        progress.recorded(records[-1], number, len(rows))
    progress.finish()
    end = screen(manifest(ids, records), effective(records), tmp_path, colour=False, dashboard=True)
    assert len(end.splitlines()) <= 30, end
    dashboard, uploaded, empty = 1, 1, 1
    parts = [
        2 * of_set_up,
        before,
        dashboard,
        len(stream.getvalue().splitlines()),
        uploaded,
        empty,
        len(end.splitlines()),
    ]
    assert sum(parts) <= MOST, f"{parts}\n{stream.getvalue()}\n{end}"


def _lines_of_set_up(checkout: Checkout) -> int:
    """Return the number of lines that the creation of an environment prints."""
    checkout.environ["EXAWORKS_WHEELHOUSE"] = str(checkout.wheelhouse)
    done = checkout.start("validate")
    assert done.returncode == 0, done.stderr
    return len(done.stderr.splitlines())
