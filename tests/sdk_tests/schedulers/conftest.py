"""Fixtures: one private Slurm for all tests of this room, and a class that runs the commands of a kind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdk_tests.schedulers import CommandResult, JobSpec, JobStatus
from sdk_tests.schedulers.slurm import SlurmKind
from sdk_tests.testbeds import Testbed, manage
from tests.needs import need


@dataclass
class Cluster:
    """A testbed, its scheduler kind, and a folder for jobs. It runs commands as the supervisor does."""

    testbed: Testbed
    folder: Path
    env: dict[str, str]
    kind: SlurmKind = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.kind = SlurmKind(self.testbed.scheduler, self.env)

    def run(self, argv: list[str], limit: float = 30.0, env: Mapping[str, str] | None = None) -> CommandResult:
        try:
            done = subprocess.run(
                argv,
                env={**self.kind.env, **(env or {})},
                cwd=self.folder,  # jobs start in the folder they are submitted from, and may leave a core file there
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return CommandResult(tuple(argv), None, "", "")
        return CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)

    def job(
        self, body: str, *, nodes: int = 1, walltime: float = 60, queue: str | None = "debug", cores: int = 1
    ) -> JobSpec:
        self.count += 1
        script = self.folder / f"{self.count}.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        output = self.folder / f"{self.count}.out"
        return JobSpec(f"job {self.count}", script, output, nodes, walltime, queue, None, cores)

    def submit(self, job: JobSpec) -> str:
        return self.kind.parse_submit(self.run(self.kind.submit_argv(job)))

    def status(self, *ids: str) -> dict[str, JobStatus]:
        return self.kind.parse_status(self.run(self.kind.status_argv(ids)))

    def until(self, job_id: str, condition: Callable[[JobStatus], bool], limit: float = 30.0) -> JobStatus:
        deadline = time.monotonic() + limit
        while True:
            status = self.status(job_id)[job_id]
            if condition(status):
                return status
            assert time.monotonic() < deadline, f"job {job_id} is still {status}"
            time.sleep(0.1)

    def ended(self, job_id: str, limit: float = 30.0) -> JobStatus:
        return self.until(job_id, lambda status: status.state.ended, limit)


def cluster(nodes: int) -> Iterator[Cluster]:
    need("slurm", "munge")
    home = Path(tempfile.mkdtemp(prefix="kind-", dir="/tmp"))
    testbed = manage.up("slurm", home, nodes=nodes, cores=4)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SQUEUE", "SBATCH"))}
    jobs = home / "jobs"
    jobs.mkdir()
    yield Cluster(testbed, jobs, manage.environment(testbed, clean))
    manage.down(home, testbed.id)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """Return a cluster of two nodes, for tests that do not change its state."""
    yield from cluster(2)


@pytest.fixture
def own_slurm() -> Iterator[Cluster]:
    """Return a cluster of one node, for a test that breaks it."""
    yield from cluster(1)
