"""The cases of Flux and of its pairs, through ``exaworks validate`` and on the real Flux of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard_client.runs import RunFolder
from tests.needs import need

pytestmark = [pytest.mark.needs("flux", "components"), pytest.mark.long]

MAY_SKIP = "flux/fluxion@"
"""This case is skipped where flux-sched is not installed."""


@pytest.mark.parametrize(
    "scheduler", ["local", "flux", pytest.param("slurm", marks=pytest.mark.needs("slurm", "munge"))]
)
def test_every_case_of_flux_and_its_pairs_passes(scheduler: str, tmp_path: Path) -> None:
    deployment = str(Path(need("components")))
    command = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site", "local/workstation", "--no-upload"]
    command += ["--deployment", f"venv:{deployment}", "--scheduler", scheduler]
    command += [word for name in ("flux", "flux+flux", "psij+flux", "parsl+flux") for word in ("--case", f"{name}/*")]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
    environ = {**kept, "EXAWORKS_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    effective = RunFolder.open("last", tmp_path / "runs").effective()
    outcomes = {case: record.verdict.outcome.value for case, record in effective.items() if MAY_SKIP not in case}
    assert outcomes == dict.fromkeys(outcomes, "pass"), done.stdout
    assert {case.partition("/")[0] for case in outcomes} >= {"flux", "flux+flux", "psij+flux", "parsl+flux"}
