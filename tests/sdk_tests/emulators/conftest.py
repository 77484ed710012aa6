"""A testbed of each emulated scheduler for the whole room; a real one, where it is at hand, is held to the same."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdk_tests.schedulers import CommandFailed, Finished, JobSpec, JobStatus, SchedulerKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import Daemon, Testbed, manage, processes
from sdk_tests.testbeds.likeness import Likeness
from site_configs.load import load_text
from tests.needs import need
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.faults import faults

KINDS = {"lsf": "lsf", "pbs": "pbs-emulated", "cobalt": "cobalt", "openpbs": "pbs"}
"""What a testbed is called in a test's name, and the kind that is brought up."""
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
class Bed:
    """One testbed and its kind; ``folder`` takes the jobs' scripts."""

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
        return processes.marked(f"EMULATED_JOB={self.testbed.folder}#" if self.emulated else "PBS_JOBID=")

    def run(self, *argv: str, limit: float = 60.0, text: str | None = None) -> Finished:
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
        return Finished(tuple(argv), done.returncode, done.stdout, done.stderr)

    def job(self, body: str, **changes: object) -> JobSpec:
        self.count += 1
        script = self.folder / f"{self.count}.sh"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        given = {"nodes": 1, "walltime": 600.0, "queue": self.testbed.scheduler.default_queue, "cores": 1, **changes}
        return JobSpec(f"job {self.count}", script, self.folder / f"{self.count}.out", **given)  # type: ignore[arg-type]

    def submit(self, job: JobSpec) -> str:
        return self.kind.parse_submit(self.run(*self.kind.submit_argv(job)))

    def refusal(self, job: JobSpec) -> str:
        with pytest.raises(CommandFailed) as refused:
            self.submit(job)
        return str(refused.value)

    def status(self, job: str) -> JobStatus | None:
        return self.kind.parse_status(self.run(*self.kind.status_argv([job]))).get(job)

    def until(self, job: str, true: Callable[[JobStatus | None], bool], limit: float = 60.0) -> JobStatus | None:
        deadline = time.monotonic() + limit
        while not true(status := self.status(job)):
            assert time.monotonic() < deadline, f"job {job} is still {status}"
            time.sleep(0.05)
        return status

    def ended(self, job: str) -> JobStatus:
        status = self.until(job, lambda status: status is not None and status.state.ended)
        assert status is not None
        return status


def bring_up(name: str, folder: Path, like: Likeness | None = None) -> Bed:
    if name == "openpbs":
        need("openpbs")
    testbed = manage.up(KINDS[name], folder, nodes=3, cores=4, owner_pid=os.getpid(), like=like)
    assert testbed.scheduler.emulated == (name != "openpbs")
    env = manage.environment(testbed, {**os.environ, "LSB_NTRIES": "1"})
    return Bed(testbed, kinds()[testbed.kind](testbed.scheduler, env), folder)


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp(request.param)
    made = bring_up(request.param, folder)
    yield made
    manage.down(folder, made.testbed.id)


@pytest.fixture
def bed(shared: Bed) -> Iterator[Bed]:
    """A testbed with one queue of three nodes, on which nothing is broken or left running afterwards."""
    yield shared
    shared.faults.mend()


@pytest.fixture
def emulated(bed: Bed) -> Bed:
    """The same, for what a real scheduler does in words of its own."""
    if not bed.emulated:
        pytest.skip("a claim about emulators")
    return bed


@pytest.fixture(scope="module", params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A testbed that looks like a system with two queues, limits and a launcher."""
    folder = tmp_path_factory.mktemp(request.param)
    flags = ', flags: ["--site-flag"]'
    kind = "pbs" if request.param == "openpbs" else request.param
    system = load_text(SITE.format(kind=kind, launcher=LAUNCHER[kind], flags=flags), "a test")
    made = bring_up(request.param, folder, Likeness(system, system.schedulers[0]))
    yield made
    manage.down(folder, made.testbed.id)
