"""A testbed or a run leaves no process, no temporary file and no shared memory on the machine, even after SIGKILL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.needs import need
from tests.sdk_tests.bench import ROOT
from tests.sdk_tests.cli import remains

pytestmark = pytest.mark.needs("namespaces")

SITE = """
system: test/box
description: A machine for tests
local: {allowed: true, cores: 2}
testbeds: [KIND]
redaction: full
limits: {queue_wait: 00:02:00}
"""
SLURM = pytest.param("slurm", marks=[pytest.mark.needs("slurm", "munge"), pytest.mark.slow])
FLUX = pytest.param("flux", marks=pytest.mark.needs("flux"))
OPENPBS = pytest.param("pbs", marks=[pytest.mark.needs("openpbs"), pytest.mark.slow])
EMULATED = pytest.param("lsf")
CASES = ("psij/hello", "parsl/python_app", "flux/instance")
SHARED = ("parsl/diamond", "parsl/exception", "radical.pilot/failing_task", "radical.pilot/raptor")
"""Cases that share a pool of workers, and others that share a pilot."""


def report(tmp_path: Path, action: str, kind: str, *words: str) -> dict[str, Any]:
    """Carry out an action in namespaces of its own; return its exit code, its output, and what it left."""
    site = ROOT / ".exaworks" / f"{tmp_path.name}-site.yaml"  # not below /tmp, which the action does not see
    site.parent.mkdir(exist_ok=True)
    site.write_text(SITE.replace("KIND", kind), encoding="utf-8")
    try:
        done = subprocess.run(
            remains.command(action, str(site), *words),
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
    finally:
        site.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    reported: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return reported


def options(kind: str, *patterns: str) -> list[str]:
    words = ["--deployment", f"venv:{need('components')}", "--scheduler", kind]
    return words + [word for pattern in patterns for word in ("--case", f"{pattern}*@{kind}")]


def test_what_a_program_leaves_is_reported(tmp_path: Path) -> None:
    """Without this, the tests below would also pass if the report were always empty."""
    program = "mkdir /var/tmp/flux-abc; touch /dev/shm/PostgreSQL.1 /tmp/pymp-x; ipcmk -M 64; sleep 98765 & exit 3"
    reported = report(tmp_path, "program", "slurm", "sh", "-c", program)
    remains_of = reported["remains"]
    folders = ["/dev/shm/PostgreSQL.1", "/tmp/pymp-x", "/var/tmp/flux-abc"]
    assert [text for text in remains_of if text.startswith("/")] == folders
    assert len([text for text in remains_of if text.startswith("shared memory segment")]) == 1
    assert [text.split(" ", 2)[2] for text in remains_of if text.startswith("process")] == ["sleep 98765"]
    assert reported["code"] == 3


@pytest.mark.parametrize("kind", [SLURM, FLUX, OPENPBS, EMULATED])
def test_a_testbed_that_was_stopped_leaves_nothing(kind: str, tmp_path: Path) -> None:
    reported = report(tmp_path, "testbed", kind, kind)
    assert reported["output"] != ""  # its daemons while it was up
    assert (reported["remains"], reported["testbeds"]) == ([], []), reported["output"]


@pytest.mark.long
@pytest.mark.needs("components")
@pytest.mark.parametrize("kind", [SLURM, FLUX, OPENPBS, "local"])
def test_a_run_leaves_nothing(kind: str, tmp_path: Path) -> None:
    cases = CASES if kind == "flux" else (*CASES, "radical.pilot/pilot")  # a pilot cannot be submitted to Flux
    reported = report(tmp_path, "run", kind.replace("local", "slurm"), *options(kind, *cases))
    assert (reported["remains"], reported["testbeds"]) == ([], []), reported["output"]
    assert reported["code"] == 0, reported["output"]


@pytest.mark.long
@pytest.mark.needs("components")
@pytest.mark.parametrize(("action", "code"), [("run", 0), ("kill", -9)])
@pytest.mark.parametrize("kind", [SLURM, "local"])
def test_a_run_whose_cases_share_fixtures_leaves_nothing(kind: str, action: str, code: int, tmp_path: Path) -> None:
    reported = report(tmp_path, action, kind.replace("local", "slurm"), *options(kind, *SHARED))
    assert (reported["remains"], reported["testbeds"]) == ([], []), reported["output"]
    assert reported["code"] == code, reported["output"]


@pytest.mark.long
@pytest.mark.needs("components")
@pytest.mark.parametrize("case", ["parsl/python_app", "flux/instance", "parsl+flux/apps", "psij+flux/jobs"])
@pytest.mark.parametrize("kind", [SLURM, FLUX, OPENPBS, "local"])
def test_a_run_that_was_killed_leaves_nothing(kind: str, case: str, tmp_path: Path) -> None:
    if "flux" in case:
        need("flux")
        if kind == "flux" and case != "parsl+flux/apps":
            pytest.skip("on Flux the payload uses the instance of its job and creates no temporary files")
    reported = report(tmp_path, "kill", kind.replace("local", "slurm"), *options(kind, case))
    assert reported["code"] == -9, reported["output"]
    assert (reported["remains"], reported["testbeds"]) == ([], []), reported["output"]
