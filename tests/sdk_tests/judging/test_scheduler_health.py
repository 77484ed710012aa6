"""The evidence against a scheduler after a case has failed: its ping, and its answer to a question about jobs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdk_tests.judging.scheduler_health import SchedulerHealths
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.schema import SchedulerSpec


def evidence(folder: Path, squeue: str, where: str = "login") -> str | None:
    for name, script in (("scontrol", "exit 0"), ("squeue", squeue)):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    env = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    kind = kinds()["slurm"](SchedulerSpec(kind="slurm"), env)
    healths = SchedulerHealths({"slurm": AvailableScheduler(kind, Probe("slurm", available=True))})
    cell: Any = SimpleNamespace(scheduler="slurm", control=False, case=SimpleNamespace(where=where))
    return healths.of(cell).unreachable


@pytest.mark.parametrize("squeue", ["exit 0", "echo '7|ex-1|/work|7|'"])
def test_a_scheduler_that_lists_jobs_is_healthy(tmp_path: Path, squeue: str) -> None:
    assert evidence(tmp_path, squeue) is None


@pytest.mark.parametrize(
    ("squeue", "expected"),
    [
        ("echo '<html>502 Bad Gateway</html>'", "502 Bad Gateway"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
    ],
)
def test_a_scheduler_whose_list_of_jobs_cannot_be_read_is_at_fault_for_payloads_that_ask_it(
    tmp_path: Path, squeue: str, expected: str
) -> None:
    assert expected in str(evidence(tmp_path, squeue))
    assert evidence(tmp_path, squeue, where="allocation") is None
