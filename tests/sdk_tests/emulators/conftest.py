"""Fixtures: a testbed of each emulated scheduler, and a real OpenPBS if it is installed, for all tests of this room."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdk_tests.schedulers import CommandFailed, CommandResult, JobSpec, JobStatus, SchedulerKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import Daemon, Testbed, manage, processes
from sdk_tests.testbeds.site_profile import SiteProfile
from site_configs.load import load_text
from tests.needs import need
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.faults import faults
from tests.sdk_tests.testbeds.job_processes import of_jobs

KINDS = {"lsf": "lsf", "pbs": "pbs-emulated", "cobalt": "cobalt", "openpbs": "pbs"}
"""The name of a testbed in the names of tests, and the kind of testbed that is started."""
SITE = """
system: test/{kind}
description: A machine for tests
schedulers:
  - kind: {kind}
    queues:
      - {{name: debug, max_nodes: 2, max_walltime: 00:30:00, max_running: 2}}
      - {{name: default, min_nodes: 2, min_walltime: 00:05:00, max_queued: 1,
         steps: [{{nodes: 2, max_walltime: 01:00:00}}], max_walltime: 02:00:00}}
    default_queue: debug
    launchers: [{{name: {launcher}{flags}}}]
    exclusive: true
node: {{cores: 8, usable_cores: 6}}
"""
LAUNCHER = {"lsf": "jsrun", "pbs": "mpiexec, kind: pals", "cobalt": "aprun"}


@dataclass
class Cluster:
    """One testbed and its scheduler kind. ``folder`` contains the scripts of jobs."""

    testbed: Testbed
    kind: SchedulerKind
    folder: Path
    count: int = 0
    faults: Faults = field(init=False)

    def __post_init__(self) -> None:
        self.faults = faults(self.testbed)

    @property
    def emulated(self) -> bool:
        return self.testbed.scheduler.emulated

    def processes(self) -> list[Daemon]:
        """Return the processes of this testbed's jobs."""
        if self.emulated:
            return processes.with_variable_prefix(f"EMULATED_JOB={self.testbed.folder}#")
        return of_jobs(self.testbed)

    def run(self, *argv: str, limit: float = 60.0, text: str | None = None) -> CommandResult:
        done = subprocess.run(
            argv,
            env=self.kind.env,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            input=text,
            cwd=self.folder,
        )
        return CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)

    def job(self, body: str, **changes: object) -> JobSpec:
        self.count += 1
        script = self.folder / f"{self.count}.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        fields = {"nodes": 1, "walltime": 600.0, "queue": self.testbed.scheduler.default_queue, "cores": 1, **changes}
        return JobSpec(f"job {self.count}", script, self.folder / f"{self.count}.out", **fields)  # type: ignore[arg-type]

    def submit(self, job: JobSpec) -> str:
        return self.kind.parse_submit(self.run(*self.kind.submit_argv(job)))

    def refusal(self, job: JobSpec) -> str:
        with pytest.raises(CommandFailed) as refused:
            self.submit(job)
        return str(refused.value)

    def status(self, job: str) -> JobStatus | None:
        return self.kind.parse_status(self.run(*self.kind.status_argv([job]))).get(job)

    def until(self, job: str, condition: Callable[[JobStatus | None], bool], limit: float = 60.0) -> JobStatus | None:
        deadline = time.monotonic() + limit
        while not condition(status := self.status(job)):
            assert time.monotonic() < deadline, f"job {job} is still {status}"
            time.sleep(0.05)
        return status

    def output(self, job: JobSpec, limit: float = 20.0) -> str:
        """Return what the program of an ended job printed, without the report that LSF writes before it."""
        deadline = time.monotonic() + limit
        while not job.output.exists():
            assert time.monotonic() < deadline, f"there is no {job.output}"
            time.sleep(0.05)
        return job.output.read_text().rpartition("The output (if any) follows:\n\n")[2]

    def ended(self, job: str) -> JobStatus:
        status = self.until(job, lambda status: status is not None and status.state.ended)
        assert status is not None
        return status


def bring_up(name: str, folder: Path, profile: SiteProfile | None = None) -> Cluster:
    if name == "openpbs":
        need("openpbs")
    testbed = manage.up(KINDS[name], folder, nodes=3, cores=4, owner_pid=os.getpid(), profile=profile)
    assert testbed.scheduler.emulated == (name != "openpbs")
    env = manage.environment(testbed, {**os.environ, "LSB_NTRIES": "1"})
    return Cluster(testbed, kinds()[testbed.kind](testbed.scheduler, env), folder)


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp(request.param)
    started = bring_up(request.param, folder)
    yield started
    manage.down(folder, started.testbed.id)


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """Return a testbed with one queue and three nodes. Its faults are repaired and its jobs ended after each test."""
    yield shared
    shared.faults.mend()


@pytest.fixture
def emulated(cluster: Cluster) -> Cluster:
    """Return the same testbed, for tests of messages that only the emulators print."""
    if not cluster.emulated:
        pytest.skip("this test checks the emulator's own messages")
    return cluster


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a testbed with the profile of a system that has two queues, limits and a launcher."""
    folder = tmp_path_factory.mktemp(request.param)
    flags = ', flags: ["--site-flag"]'
    kind = "pbs" if request.param == "openpbs" else request.param
    system = load_text(SITE.format(kind=kind, launcher=LAUNCHER[kind], flags=flags), "a test")
    started = bring_up(request.param, folder, SiteProfile(system, system.schedulers[0]))
    yield started
    manage.down(folder, started.testbed.id)
