"""From launch requests to a job that can be submitted: its size and time, its files and its command line."""

from __future__ import annotations

from pathlib import Path

from sdk_tests.execution.job import Job
from sdk_tests.execution.job_scripts import Allocation, write_job
from sdk_tests.execution.messages import LaunchRequest, SchedulerSetup, Setup
from sdk_tests.schedulers import JobSpec, SchedulerKind

KILL_MARGIN = 5.0
"""Seconds past a case's walltime before its own job is cancelled; schedulers round walltimes up to minutes."""


def new_job(name: str, folder: Path, requests: list[LaunchRequest], given: SchedulerSetup, *, shared: bool) -> Job:
    """Return a job for requests of one node count; of those that share it, as many run at once as have cores."""
    slots = min(sum(r.cores for r in requests), max(given.payload_cores, *(r.cores for r in requests)))
    longest = max(request.walltime for request in requests)
    starts = {request.fixture.name: request.fixture.start for request in requests if request.fixture is not None}
    work = sum(r.walltime * r.cores for r in requests) / slots + sum(starts.values())
    walltime = max(longest, work) + 60 if shared else longest
    return Job(name, folder, requests, shared, slots, walltime)


def submit_command(job: Job, kind: SchedulerKind, given: SchedulerSetup, setup: Setup) -> list[str]:
    """Write the files of a job into its folder, and return the command that submits it.

    Raises:
        OSError: the files cannot be written.
    """
    first = job.requests[0]
    asked = kind.walltime(first.queue, first.nodes, job.walltime + KILL_MARGIN)
    job.walltime = min(job.walltime, asked - KILL_MARGIN)
    job.folder.mkdir(parents=True)
    cores = given.payload_cores if given.spec.exclusive else job.slots
    allocation = Allocation(first.nodes, cores, given.inner)
    inner = given.inner.commands if given.inner else kind.inner_commands()
    script = write_job(job.folder, job.requests, job.slots, setup, allocation, inner)
    output = job.folder / "job.out"
    return kind.submit_argv(
        JobSpec(job.name, script, output, first.nodes, asked, first.queue, first.account, job.slots)
    )
